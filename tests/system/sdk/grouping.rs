//! A replica of Sentry's rules for grouping events with exceptions, as far as these events need them.
//!
//! Source: `src/sentry/grouping/strategies/newstyle.py` of Sentry: `frame`, `get_filename_component`,
//! `get_function_component`, `get_contextline_component`, `single_exception`, `chained_exception` and
//! `filter_exceptions_for_exception_groups`. Left out: enhancement rules, messages' parameters, minified sources.

use serde_json::Value;
use std::collections::HashMap;

/// Languages whose source lines count (`contextline_platforms`).
const WITH_SOURCE: [&str; 5] = ["javascript", "node", "python", "php", "ruby"];

/// The components that are hashed, one text for each, in order.
pub fn components(event: &Value) -> Vec<String> {
    let platform = event["platform"].as_str().unwrap_or("other");
    let exceptions: Vec<&Value> = event["exception"]["values"].as_array().into_iter().flatten().collect();
    // Without a frame of the application Sentry takes all frames.
    let only_app = exceptions.iter().any(|exception| !frames(exception, platform, true).is_empty());
    let all: Vec<Vec<String>> = exceptions.iter().map(|exception| single(exception, platform, only_app)).collect();
    filtered(&exceptions, &all).into_iter().flat_map(|index| all[index].clone()).collect()
}

/// Type, and frames or else the message.
fn single(exception: &Value, platform: &str, only_app: bool) -> Vec<String> {
    let text = |name: &str| exception[name].as_str().unwrap_or_default();
    let frames = frames(exception, platform, only_app);
    let value = if frames.is_empty() { vec![format!("value {}", text("value"))] } else { frames };
    std::iter::once(format!("type {}", text("type"))).chain(value).collect()
}

fn frames(exception: &Value, platform: &str, only_app: bool) -> Vec<String> {
    let all = exception["stacktrace"]["frames"].as_array().map_or(&[][..], Vec::as_slice);
    let is_repeat = |at: usize| {
        let fields = ["abs_path", "module", "filename", "function", "lineno", "colno"];
        at > 0 && fields.iter().all(|field| all[at][field] == all[at - 1][field])
    };
    let counted =
        all.iter().enumerate().filter(|(at, frame)| (!only_app || frame["in_app"] == true) && !is_repeat(*at));
    counted.map(|(_, one)| frame(one, platform)).filter(|text| !text.is_empty()).collect()
}

fn frame(frame: &Value, platform: &str) -> String {
    let text = |name: &str| frame[name].as_str().filter(|text| !text.is_empty());
    let is_node = matches!(platform, "javascript" | "node");
    let file = text("filename").map(|path| path.rsplit(['/', '\\']).next().unwrap_or(path).to_lowercase());
    let file = file.filter(|file| file != "<anonymous>" && file != "[native code]");
    let module = text("module").map(|module| format!("module {module}"));
    let place = module.or_else(|| file.map(|file| format!("filename {file}")));
    let function = text("function").map(|name| match platform {
        _ if is_node => name.rsplit('.').next().unwrap_or(name),
        "ruby" if name.starts_with("block ") => "block",
        _ => name,
    });
    let unknown = |name: &&str| is_node && matches!(*name, "?" | "<anonymous>");
    let function = function.filter(|name| !(unknown(name) || platform == "java" && name.starts_with("lambda$")));
    let source = text("context_line").filter(|line| WITH_SOURCE.contains(&platform) && line.len() <= 120);
    let source = source.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let parts = [place, function.map(|name| format!("function {name}")), source.map(|line| format!("source {line}"))];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Which exceptions count: of a group one of each kind of member, without the group if they are all of one kind.
fn filtered(exceptions: &[&Value], components: &[Vec<String>]) -> Vec<usize> {
    let all: Vec<usize> = (0..exceptions.len()).collect();
    let field = |index: usize, name: &str| exceptions[index]["mechanism"][name].as_u64();
    let mut by_id = HashMap::new();
    let mut children: HashMap<u64, Vec<usize>> = HashMap::new();
    for index in all.iter().rev().copied() {
        let Some(id) = field(index, "exception_id") else { return all };
        let parent = field(index, "parent_id");
        if parent == Some(id) || by_id.insert(id, index).is_some() {
            return all;
        }
        parent.into_iter().for_each(|parent| children.entry(parent).or_default().push(index));
    }
    let Some(&root) = by_id.get(&0).filter(|_| exceptions.len() > 1) else { return all };
    let below =
        |index: usize| field(index, "exception_id").and_then(|id| children.get(&id)).cloned().unwrap_or_default();
    let (mut top, mut open) = (Vec::new(), vec![root]);
    while let Some(index) = open.pop() {
        match exceptions[index]["mechanism"]["is_exception_group"] == true {
            true => open.extend(below(index).into_iter().rev()),
            false => top.push(index),
        }
    }
    top.sort_by(|a, b| exceptions[*b]["type"].as_str().cmp(&exceptions[*a]["type"].as_str()));
    top.dedup_by(|a, b| components[*a] == components[*b]);
    match top[..] {
        [] => all,
        [only] => std::iter::successors(Some(only), |&index| below(index).first().copied()).collect(),
        _ => top.into_iter().chain([root]).collect(),
    }
}
