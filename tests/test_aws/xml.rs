//! XML as EC2 and Auto Scaling answer it.

/// A document in the making.
#[derive(Debug, Default)]
pub(crate) struct Xml(String);

impl Xml {
    /// The whole of an answer: its root with the namespace, the request's id, and what `fill` puts in.
    pub(crate) fn answer(action: &str, namespace: &str, fill: impl FnOnce(&mut Self)) -> String {
        let mut xml = Self::default();
        fill(&mut xml);
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{action}Response xmlns=\"{namespace}\">{}</{action}Response>",
            xml.0
        )
    }

    /// An element with text.
    pub(crate) fn text(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Self {
        self.within(name, |xml| xml.bare(&value.to_string()))
    }

    /// Text alone.
    pub(crate) fn bare(&mut self, text: &str) {
        self.0.push_str(&escape(text));
    }

    /// The same where there is a value.
    pub(crate) fn maybe(&mut self, name: &str, value: Option<impl std::fmt::Display>) -> &mut Self {
        if let Some(value) = value {
            self.text(name, value);
        }
        self
    }

    /// An element with elements.
    pub(crate) fn within(&mut self, name: &str, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.0.push_str(&format!("<{name}>"));
        fill(self);
        self.0.push_str(&format!("</{name}>"));
        self
    }

    /// A list, each entry in an element of its own.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        each: &str,
        items: impl IntoIterator<Item = T>,
        fill: impl Fn(&mut Self, T),
    ) -> &mut Self {
        self.within(name, |xml| {
            for item in items {
                xml.within(each, |xml| fill(xml, item));
            }
        })
    }
}

pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\r' | '\t' => out.push_str(&format!("&#{};", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}
