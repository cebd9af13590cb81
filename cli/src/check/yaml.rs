//! Reads the YAML format: `env`, `includes`, `plugins`, `service` and `pipeline`.

use super::config::{Kind, Property, Reader, Section};
use super::report::Place;
use out_sentry::options::{self, Row};
use saphyr_parser::{Event, Parser};
use std::path::Path;
use std::sync::Arc;

/// Reads a text, and reports what Fluent Bit would refuse.
pub(super) fn parse(text: &str, file: &Arc<Path>, reader: &mut Reader<'_>) {
    let at = |line| Place { file: Arc::clone(file), line };
    let root = match tree(text) {
        Ok(root) => root,
        Err((line, problem)) => return reader.problem(at(line), &problem),
    };
    if !matches!(root.content, Content::Map(_)) {
        return reader.problem(at(root.line), "expected keys such as service and pipeline");
    }
    let mut walk = Walk { file, reader };
    for (key, value) in root.entries() {
        match key.text().to_ascii_lowercase().as_str() {
            "env" => value.entries().for_each(|(name, value)| walk.reader.variable(name.text(), value.text())),
            "includes" => value.items().for_each(|item| walk.reader.include(item.text(), &at(item.line))),
            "plugins" => walk.plugins(value),
            "service" => walk.section(Kind::Service, value),
            "pipeline" => walk.pipeline(value),
            _ => {}
        }
    }
}

struct Walk<'w, 'r> {
    file: &'w Arc<Path>,
    reader: &'w mut Reader<'r>,
}

impl Walk<'_, '_> {
    fn place(&self, line: usize) -> Place {
        Place { file: Arc::clone(self.file), line }
    }

    /// A list of files, or of mappings with a `path`.
    fn plugins(&mut self, list: &Node) {
        for item in list.items() {
            let path = item.entries().find(|(key, _)| key.text() == "path").map_or(item, |(_, value)| value);
            let place = self.place(path.line);
            let property = Property { key: "path".into(), value: path.text().to_owned(), place: place.clone() };
            self.reader.section(Section { kind: Kind::Plugins, place, properties: vec![property] });
        }
    }

    fn pipeline(&mut self, pipeline: &Node) {
        for (key, list) in pipeline.entries() {
            let kind = match key.text().to_ascii_lowercase().as_str() {
                "inputs" => Kind::Input,
                "filters" => Kind::Filter,
                "outputs" => Kind::Output,
                _ => continue,
            };
            list.items().for_each(|item| self.section(kind, item));
        }
    }

    fn section(&mut self, kind: Kind, mapping: &Node) {
        let mut properties = Vec::new();
        for (key, value) in mapping.entries() {
            let (name, place) = (snake_case(key.text()), self.place(key.line));
            let property =
                |value: &Node| Property { key: name.clone(), value: value.text().to_owned(), place: place.clone() };
            match &value.content {
                Content::Text(_) => properties.push(property(value)),
                // Fluent Bit sets such a key once for each element, and a plugin gets the first.
                Content::List(items) => {
                    properties.extend(items.iter().map(property));
                    if kind == Kind::Output && items.len() > 1 && is_a_list(&name) {
                        let text = format!(
                            "{name}: Fluent Bit passes only the first element of a YAML list to a plugin; write {name}: a, b"
                        );
                        self.reader.problem(place.clone(), &text);
                    }
                }
                Content::Map(_) if kind != Kind::Output || name == "processors" => properties.push(property(value)),
                Content::Map(_) => self.reader.problem(place, &format!("expected a value for {name}, found more keys")),
            }
        }
        let place = self.place(mapping.line);
        self.reader.section(Section { kind, place, properties });
    }
}

/// Returns true if an option of the output takes several values.
fn is_a_list(name: &str) -> bool {
    const OTHERS: [&str; 9] = [
        "tags",
        "level_map",
        "kube_event_levels",
        "scrub_allow",
        "in_app_include",
        "in_app_exclude",
        "kernel_tags",
        "fingerprint",
        "dsn_allow_hosts",
    ];
    let is_option = |row: &Row| row.name == name && (row.kind() == options::Kind::List || OTHERS.contains(&name));
    options::rows().any(is_option)
}

/// As Fluent Bit reads keys: `retryLimit` is `retry_limit`.
fn snake_case(key: &str) -> String {
    if !key.starts_with(|c: char| c.is_ascii_lowercase()) || key.contains('_') {
        return key.to_ascii_lowercase();
    }
    let mut name = String::new();
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

/// A part of the document, and the line where it begins.
#[derive(Debug)]
struct Node {
    line: usize,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Text(String),
    List(Vec<Node>),
    /// Keys and values in turn.
    Map(Vec<Node>),
}

impl Node {
    fn text(&self) -> &str {
        if let Content::Text(text) = &self.content { text } else { "" }
    }

    fn items(&self) -> impl Iterator<Item = &Node> {
        let items: &[Node] = if let Content::List(items) = &self.content { items } else { &[] };
        items.iter()
    }

    fn entries(&self) -> impl Iterator<Item = (&Node, &Node)> {
        let nodes: &[Node] = if let Content::Map(nodes) = &self.content { nodes } else { &[] };
        nodes.chunks_exact(2).map(|pair| (&pair[0], &pair[1]))
    }

    fn push(&mut self, node: Node) {
        if let Content::List(nodes) | Content::Map(nodes) = &mut self.content {
            nodes.push(node);
        }
    }
}

/// Reads the first document, built without recursion; or the line and the error in it.
fn tree(text: &str) -> Result<Node, (usize, String)> {
    let mut open: Vec<Node> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| (error.marker().line(), format!("no YAML: {}", error.info())))?;
        let line = span.start.line();
        let node = |content| Node { line, content };
        let closed = match event {
            Event::Scalar(text, ..) => node(Content::Text(text.into_owned())),
            Event::SequenceStart(..) => {
                open.push(node(Content::List(Vec::new())));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(node(Content::Map(Vec::new())));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(closed) => closed,
                None => continue,
            },
            Event::Alias(_) => return Err((line, "Fluent Bit does not support anchors and aliases".to_owned())),
            _ => continue,
        };
        match open.last_mut() {
            Some(parent) => parent.push(closed),
            None => return Ok(closed),
        }
    }
    Err((1, "it configures nothing".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_camel_case() {
        for (key, expected) in [
            ("retryLimit", "retry_limit"),
            ("Retry_Limit", "retry_limit"),
            ("scheduler.base", "scheduler.base"),
            ("spool_Path", "spool_path"),
        ] {
            assert_eq!(snake_case(key), expected);
        }
    }

    #[test]
    fn deep_nesting_is_no_danger() {
        assert!(tree(&"[".repeat(20_000)).is_err());
        let (line, problem) = tree("a:\n  b: &x 1\n  c: *x\n").unwrap_err();
        assert_eq!((line, problem.contains("aliases")), (3, true), "{problem}");
    }
}
