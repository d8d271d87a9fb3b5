//! What a command printed, as far as SSM keeps it.

use aws_sdk_ssm::types::{CommandInvocation, CommandPlugin};

use crate::io::aws::client::Clients;
use crate::io::aws::error::Call;
use crate::model::id::NodeId;
use crate::port::Ticket;

/// What stands between stdout and stderr in the short form.
const ERROR_MARK: &str = "----------ERROR-------";

/// What one plugin of a command printed, and its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Printed {
    pub(super) status: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// The first 2,500 characters that come with the listing. The result line is the first of them.
pub(super) fn short(invocation: &CommandInvocation) -> Printed {
    let plugin = plugin(invocation);
    let text = plugin
        .and_then(|plugin| plugin.output())
        .unwrap_or_default();
    let (stdout, stderr) = text.split_once(ERROR_MARK).unwrap_or((text, ""));
    Printed {
        // -1 stands for "none" there.
        status: plugin
            .map(CommandPlugin::response_code)
            .filter(|&code| code >= 0),
        stdout: stdout.to_owned(),
        stderr: stderr.trim_start().to_owned(),
    }
}

/// The first 24,000 characters of stdout and 8,000 of stderr, for a call of its own; the short form where it fails:
/// a report with less output is better than none.
pub(super) async fn full(
    clients: &Clients,
    node: &NodeId,
    ticket: &Ticket,
    invocation: &CommandInvocation,
) -> Printed {
    let mut printed = short(invocation);
    // With a single plugin its name goes without saying; a document's own steps have to be named.
    let name = (invocation.command_plugins().len() > 1)
        .then(|| plugin(invocation).and_then(CommandPlugin::name))
        .flatten();
    let answer = clients
        .ssm
        .get_command_invocation()
        .command_id(&ticket.0)
        .instance_id(node.as_str())
        .set_plugin_name(name.map(str::to_owned))
        .send()
        .await;
    match answer {
        Ok(answer) => {
            let stdout = answer.standard_output_content.unwrap_or_default();
            if stdout.len() >= printed.stdout.len() {
                printed.stdout = stdout;
                printed.stderr = answer.standard_error_content.unwrap_or_default();
            }
        }
        Err(error) => {
            let call = Call {
                clients,
                action: "ssm:GetCommandInvocation",
                on: node.as_str(),
            };
            tracing::debug!(error = %call.failed(&error), "the short output has to do");
        }
    }
    printed
}

/// Whether a command has begun to execute on its node. When that cannot be asked, it may have.
pub(super) async fn started(clients: &Clients, node: &NodeId, ticket: &Ticket) -> bool {
    let answer = clients
        .ssm
        .get_command_invocation()
        .command_id(&ticket.0)
        .instance_id(node.as_str())
        .send()
        .await;
    // "If the plugin hasn't started to run, the string is empty" (API reference).
    answer.map_or(true, |answer| {
        answer
            .execution_start_date_time()
            .is_some_and(|at| !at.is_empty())
    })
}

/// The plugin that speaks for the step: the one with the wrapper's result line, else the first.
fn plugin(invocation: &CommandInvocation) -> Option<&CommandPlugin> {
    let plugins = invocation.command_plugins();
    plugins
        .iter()
        .find(|plugin| {
            plugin
                .output()
                .is_some_and(|output| output.starts_with("roundsman v1 "))
        })
        .or_else(|| plugins.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(output: &str, code: i32) -> CommandPlugin {
        CommandPlugin::builder()
            .output(output)
            .response_code(code)
            .build()
    }

    #[test]
    fn the_plugin_with_the_result_line_speaks() {
        let invocation = CommandInvocation::builder()
            .command_plugins(plugin("prepared", 0))
            .command_plugins(plugin(
                "roundsman v1 run=x\nhello\n----------ERROR-------\nalas\n",
                1,
            ))
            .build();
        assert_eq!(
            short(&invocation),
            Printed {
                status: Some(1),
                stdout: "roundsman v1 run=x\nhello\n".to_owned(),
                stderr: "alas\n".to_owned()
            }
        );
    }

    #[test]
    fn no_plugin_and_no_code_are_no_status() {
        assert_eq!(short(&CommandInvocation::builder().build()).status, None);
        let invocation = CommandInvocation::builder()
            .command_plugins(plugin("", -1))
            .build();
        assert_eq!(short(&invocation).status, None);
    }
}
