//! `postroom graph`: the way of mail through the desk, as Mermaid or DOT.

use clap::{Args, ValueEnum};

use super::{Exit, Failure, FilesArgs, output};
use crate::core::config::{Config, Dispatch, Switch};
use crate::core::filter::Filter;

/// Options of `graph`.
#[derive(Args)]
#[command(
    after_help = "GitHub and GitLab draw Mermaid in a fenced block; Graphviz draws DOT. What \
                        is switched off is dashed.\n\n\
                        Examples:\n  postroom graph -c config/\n  \
                        postroom graph -c config/ --format dot > desk.dot"
)]
pub struct GraphArgs {
    #[command(flatten)]
    files: FilesArgs,
    /// How to draw it
    #[arg(long, value_name = "FORMAT", default_value = "mermaid")]
    format: GraphFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GraphFormat {
    /// For Markdown.
    Mermaid,
    /// For Graphviz.
    Dot,
}

/// Draws it.
pub fn run(args: GraphArgs) -> Result<Exit, Failure> {
    let config = match args.files.load_valid() {
        Ok(config) => config,
        Err(exit) => return Ok(exit),
    };
    let graph = Graph::of(&config);
    output::print(&match args.format {
        GraphFormat::Mermaid => graph.mermaid(),
        GraphFormat::Dot => graph.dot(),
    });
    Ok(Exit::Fine)
}

/// What is drawn.
#[derive(Debug, Default)]
struct Graph {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

#[derive(Debug)]
struct Node {
    kind: Kind,
    name: String,
    on: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Account,
    Address,
    Filters,
    Queue,
    Reply,
    User,
}

#[derive(Debug)]
struct Edge {
    from: (Kind, String),
    to: (Kind, String),
    label: String,
}

/// The one node through which all mail goes.
const FILTERS: &str = "filters";

impl Graph {
    fn of(config: &Config) -> Graph {
        let mut graph = Graph::default();
        graph.accounts(config);
        graph.filters(config);
        graph.addresses(config);
        graph.queues(config);
        graph.users(config);
        graph
    }

    fn node(&mut self, kind: Kind, name: &str, state: Switch) {
        self.nodes.push(Node { kind, name: name.to_owned(), on: state == Switch::Enabled });
    }

    fn edge(&mut self, from: (Kind, &str), to: (Kind, &str), label: &str) {
        let end = |(kind, name): (Kind, &str)| (kind, name.to_owned());
        self.edges.push(Edge { from: end(from), to: end(to), label: label.to_owned() });
    }

    fn accounts(&mut self, config: &Config) {
        for (name, account) in config.accounts.iter() {
            self.node(Kind::Account, name, account.state);
            self.edge((Kind::Account, name), (Kind::Filters, FILTERS), "");
            if let Dispatch::Queue(queue) = &account.dispatch {
                self.edge((Kind::Account, name), (Kind::Queue, queue), "unless a filter says");
            }
        }
        self.node(Kind::Filters, FILTERS, Switch::Enabled);
    }

    /// One arrow for each filter that chooses a queue: in order, with its place.
    fn filters(&mut self, config: &Config) {
        for filter in config.filters.iter().filter(|it| it.state == Switch::Enabled) {
            let Some(queue) = fixed_queue(filter) else { continue };
            let stops = if filter.stop { ", stops" } else { "" };
            let label = format!("{} {}{stops}", filter.order, filter.name);
            self.edge((Kind::Filters, FILTERS), (Kind::Queue, queue), &label);
        }
    }

    fn addresses(&mut self, config: &Config) {
        for (address, ours) in config.system_addresses.iter() {
            self.node(Kind::Address, address.as_str(), ours.state);
            let (from, to) = ((Kind::Filters, FILTERS), (Kind::Address, address.as_str()));
            self.edge(from, to, "recipient");
            self.edge((Kind::Address, address.as_str()), (Kind::Queue, &ours.queue), "");
        }
        let last = crate::core::config::QUEUE_OF_LAST_RESORT;
        self.edge((Kind::Filters, FILTERS), (Kind::Queue, last), "nothing else");
    }

    fn queues(&mut self, config: &Config) {
        for (name, queue) in &config.queues {
            self.node(Kind::Queue, name, queue.state);
            let replies = &queue.auto_replies;
            let all = [
                ("new", &replies.new),
                ("followUp", &replies.follow_up),
                ("reject", &replies.reject),
                ("newTicket", &replies.new_ticket),
            ];
            for (occasion, reply) in all {
                if let Some(reply) = reply {
                    self.edge((Kind::Queue, name), (Kind::Reply, reply), occasion);
                }
            }
        }
        for (name, reply) in &config.auto_replies {
            self.node(Kind::Reply, name, reply.state);
        }
    }

    fn users(&mut self, config: &Config) {
        let subscribed = config.users.iter().filter(|(_, it)| !it.subscriptions.queues.is_empty());
        for (name, user) in subscribed {
            self.node(Kind::User, name, user.state);
            for queue in &user.subscriptions.queues {
                self.edge((Kind::Queue, queue), (Kind::User, name), "tells");
            }
        }
    }

    /// Nodes have numbers: names could be anything.
    fn id(&self, kind: Kind, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.kind == kind && node.name == name)
    }

    fn ends(&self, edge: &Edge) -> Option<(usize, usize)> {
        Some((self.id(edge.from.0, &edge.from.1)?, self.id(edge.to.0, &edge.to.1)?))
    }

    fn mermaid(&self) -> String {
        let mut text = "flowchart LR\n".to_owned();
        for (id, node) in self.nodes.iter().enumerate() {
            let [open, close] = match node.kind {
                Kind::Account => ["[(", ")]"],
                Kind::Address | Kind::Reply => ["([", "])"],
                Kind::Filters => ["{{", "}}"],
                Kind::Queue => ["[", "]"],
                Kind::User => ["((", "))"],
            };
            text += &format!("  n{id}{open}\"{}\"{close}\n", in_mermaid(&node.name));
        }
        for edge in &self.edges {
            let Some((from, to)) = self.ends(edge) else { continue };
            let label = match edge.label.is_empty() {
                true => String::new(),
                false => format!("|\"{}\"|", in_mermaid(&edge.label)),
            };
            text += &format!("  n{from} -->{label} n{to}\n");
        }
        let off = self.nodes.iter().enumerate().filter(|(_, node)| !node.on);
        let off: Vec<String> = off.map(|(id, _)| format!("n{id}")).collect();
        if !off.is_empty() {
            text += "  classDef off stroke-dasharray: 4 4\n";
            text += &format!("  class {} off\n", off.join(","));
        }
        text
    }

    fn dot(&self) -> String {
        let mut text = "digraph desk {\n  rankdir=LR;\n".to_owned();
        for (id, node) in self.nodes.iter().enumerate() {
            let shape = match node.kind {
                Kind::Account => "cylinder",
                Kind::Address | Kind::Reply => "ellipse",
                Kind::Filters => "hexagon",
                Kind::Queue => "box",
                Kind::User => "circle",
            };
            let style = if node.on { "" } else { ", style=dashed" };
            text += &format!("  n{id} [label={}, shape={shape}{style}];\n", in_dot(&node.name));
        }
        for edge in &self.edges {
            let Some((from, to)) = self.ends(edge) else { continue };
            let label = match edge.label.is_empty() {
                true => String::new(),
                false => format!(" [label={}]", in_dot(&edge.label)),
            };
            text += &format!("  n{from} -> n{to}{label};\n");
        }
        text + "}\n"
    }
}

/// The queue that a filter chooses, unless a capture does.
fn fixed_queue(filter: &Filter) -> Option<&String> {
    filter.set.queue.as_ref().filter(|queue| !queue.contains("{{"))
}

/// Mermaid takes entities within quotes.
fn in_mermaid(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' => "#quot;".to_owned(),
        '#' => "#35;".to_owned(),
        '<' => "#lt;".to_owned(),
        '>' => "#gt;".to_owned(),
        c if c.is_control() => " ".to_owned(),
        c => c.to_string(),
    });
    escaped.collect()
}

fn in_dot(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("\"{}\"", clean.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(yaml: &str) -> Graph {
        let loaded = crate::config::load_saved(&[("a.yaml".into(), format!("version: 1\n{yaml}"))]);
        Graph::of(&loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems)))
    }

    const DESK: &str = "queues: {support: {}, vip: {state: disabled}}\n\
        systemAddresses: {support@desk.example: {queue: support}}\n\
        filters: {boss: {order: 7, match: [{body: x}], set: {queue: vip}, stop: true}}\n\
        users: {alice: {email: a@x.test, subscriptions: {queues: [vip], events: [noteAdded]}}}\n\
        mailAccounts:\n  in: {type: maildir, path: m, dispatch: {by: queue, queue: support}, afterFetch: keep}\n";

    #[test]
    fn as_mermaid() {
        let drawn = graph(DESK).mermaid();
        for line in [
            "  n0[(\"in\")]\n",
            "  n1{{\"filters\"}}\n",
            "  n0 -->|\"unless a filter says\"| n4\n",
            "  n1 -->|\"7 boss, stops\"| n5\n",
            "  n1 -->|\"recipient\"| n2\n",
            "  n1 -->|\"nothing else\"| n3\n",
            "  n5 -->|\"tells\"| n6\n",
            "  class n5 off\n",
        ] {
            assert!(drawn.contains(line), "{line:?} in:\n{drawn}");
        }
    }

    #[test]
    fn as_dot() {
        let drawn = graph(DESK).dot();
        assert!(drawn.contains("n5 [label=\"vip\", shape=box, style=dashed];"), "{drawn}");
        assert!(drawn.contains("n1 -> n5 [label=\"7 boss, stops\"];"), "{drawn}");
        assert_eq!(in_dot("a\"b\\c\n"), "\"a\\\"b\\\\c \"");
    }

    #[test]
    fn empty_desks_are_drawn() {
        assert!(graph("").mermaid().starts_with("flowchart LR\n"));
    }
}
