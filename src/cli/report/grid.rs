//! Columns that fit a width.

use comfy_table::{Column, ColumnConstraint, ContentArrangement, Table, Width, presets};

use crate::cli::report::Look;
use crate::cli::report::paint::{Paint, reveal, unmarked, veil};
use crate::cli::report::text::harmless_line;
use crate::cli::report::times::{cut, wrapped};

/// The least width that tables are made for.
const NARROWEST: usize = 60;
/// Blanks between two columns.
const GAP: usize = 2;
/// The most characters of a cell: a tag may say much.
const CELL_MAX: usize = 200;

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    paint: Option<Paint>,
}

impl Cell {
    /// A cell in its colour.
    pub(super) fn painted(text: &str, paint: Option<Paint>) -> Self {
        let text = cut(&unmarked(&harmless_line(text)), CELL_MAX);
        let text = if text.trim().is_empty() {
            "-".to_owned()
        } else {
            text
        };
        Self { text, paint }
    }

    /// A cell.
    pub(super) fn new(text: &str) -> Self {
        Self::painted(text, None)
    }

    fn shown(&self, colour: bool) -> String {
        match self.paint.filter(|_| colour) {
            Some(paint) => veil(&self.text, paint),
            None => self.text.clone(),
        }
    }
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    /// Its heading.
    pub(super) head: &'static str,
    /// What makes it stay when there is little room: the least stays longest.
    pub(super) rank: u8,
    /// It may be wrapped down to this width.
    pub(super) least: usize,
    /// Its cells, one for each row.
    pub(super) cells: Vec<Cell>,
    /// The rows whose cell is told below the table when the column has to go: what nobody may miss.
    pub(super) beneath: Vec<bool>,
}

impl Field {
    /// Whether no row says anything in this column.
    pub(super) fn is_empty(&self) -> bool {
        self.cells.iter().all(|cell| cell.text == "-")
    }
}

/// The table, each line ended; where columns had to go, a last line says which.
pub(super) fn render(fields: &[Field], look: Look) -> String {
    let natural = natural_widths(fields);
    let room = look.width.clamp(NARROWEST, 10_000);
    let widths = fit(fields, &natural, room);
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(room + GAP).unwrap_or(u16::MAX));
    let kept = |field: &usize| widths[*field].is_some();
    let kept: Vec<usize> = (0..fields.len()).filter(kept).collect();
    let head = |field: &usize| Cell::painted(fields[*field].head, Some(Paint::Head));
    table.set_header(kept.iter().map(|field| head(field).shown(look.colour)));
    for row in 0..fields.first().map_or(0, |field| field.cells.len()) {
        let cell = |field: &usize| fields[*field].cells.get(row);
        table.add_row(
            kept.iter()
                .map(|field| cell(field).map_or_else(String::new, |cell| cell.shown(look.colour))),
        );
    }
    for (column, field) in table.column_iter_mut().zip(&kept) {
        constrain(column, widths[*field].unwrap_or(1));
    }
    let mut text = String::new();
    for line in table.trim_fmt().lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let gone: Vec<&str> = (0..fields.len())
        .filter(|field| widths[*field].is_none())
        .map(|field| fields[field].head)
        .collect();
    if !gone.is_empty() {
        text.push_str(&wrapped(
            &format!("(too narrow for: {})", gone.join(", ")),
            room,
        ));
    }
    for line in beneath(fields, &widths) {
        text.push_str(&wrapped(&line, room));
    }
    reveal(&text)
}

/// What must not be missed of the columns that had to go, a line for each row that has any: it begins with the
/// row's first cell.
fn beneath(fields: &[Field], widths: &[Option<usize>]) -> Vec<String> {
    let Some(first) = fields.first() else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    for (row, name) in first.cells.iter().enumerate() {
        let told: Vec<String> = fields
            .iter()
            .zip(widths)
            .filter(|(field, width)| {
                width.is_none() && field.beneath.get(row).copied().unwrap_or(false)
            })
            .filter_map(|(field, _)| Some((field.head, field.cells.get(row)?)))
            .filter(|(_, cell)| cell.text != "-")
            .map(|(head, cell)| format!("{head}: {}", cell.text))
            .collect();
        if !told.is_empty() {
            lines.push(format!("{}  {}", name.text, told.join("; ")));
        }
    }
    lines
}

fn constrain(column: &mut Column, width: usize) {
    let whole = u16::try_from(width + GAP).unwrap_or(u16::MAX);
    column.set_padding((0, 2));
    column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(whole)));
}

/// How wide each column would be without wrapping.
fn natural_widths(fields: &[Field]) -> Vec<usize> {
    let mut table = Table::new();
    table.set_header(fields.iter().map(|field| field.head));
    for row in 0..fields.first().map_or(0, |field| field.cells.len()) {
        let texts = fields.iter().map(|field| {
            let cell = field.cells.get(row);
            cell.map_or("", |cell| cell.text.as_str())
        });
        table.add_row(texts);
    }
    let widths = table.column_max_content_widths();
    widths.into_iter().map(usize::from).collect()
}

/// The columns' widths; `None`: there is no room for it.
fn fit(fields: &[Field], natural: &[usize], room: usize) -> Vec<Option<usize>> {
    let mut order: Vec<usize> = (0..fields.len()).collect();
    order.sort_by_key(|field| fields[*field].rank);
    let mut widths = vec![None; fields.len()];
    let mut used = 0;
    for &field in &order {
        let least = natural[field].min(fields[field].least);
        let gap = if used == 0 { 0 } else { GAP };
        if used + gap + least <= room {
            used += gap + least;
            widths[field] = Some(least);
        }
    }
    for &field in &order {
        if let Some(width) = &mut widths[field] {
            let more = (natural[field] - *width).min(room - used);
            *width += more;
            used += more;
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_line_is_wider_than_asked_for(
            width in 60_usize..160,
            texts in proptest::collection::vec("[a-z 数据\u{1b}\n-]{0,60}", 8..32),
        ) {
            let look = Look {
                colour: false, width, terminal: false, journald: false, quiet: false, verbose: false, now_stamp: false,
            };
            let rows = texts.len() / 8;
            let fields: Vec<Field> = texts.chunks(rows).take(8).zip(1..).map(|(cells, rank)| Field {
                head: "head",
                rank,
                least: usize::from(rank) * 3,
                cells: cells.iter().map(|text| Cell::new(text)).collect(),
                beneath: Vec::new(),
            }).collect();
            for line in render(&fields, look).lines() {
                let columns: usize = line.chars().map(|c| if matches!(c, '数' | '据') { 2 } else { 1 }).sum();
                prop_assert!(columns <= width, "{columns} > {width}: {line}");
                prop_assert!(!line.contains(char::is_control));
            }
        }
    }
}
