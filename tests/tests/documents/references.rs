//! What a document refers to: files of the project and keys of the config. Each must be there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Endings of files; what ends so is no config key, and with a `/` it is a file of the project.
const SOURCES: [&str; 6] = ["rs", "md", "toml", "proto", "py", "css"];
const FILES: [&str; 7] = ["json", "jsonl", "html", "safetensors", "dat", "csv", "lock"];

/// Keys that a config may hold: those of `demo.toml`, where every key is explained; `stage.beta` for every stage.
pub fn config_keys(root: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(root.join("configs/demo.toml")).unwrap();
    let mut keys = BTreeSet::new();
    collect("", &toml::Value::Table(text.parse().unwrap()), &mut keys);
    keys
}

fn collect(prefix: &str, value: &toml::Value, keys: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                keys.insert(key.clone());
                collect(&key, value, keys);
            }
        }
        toml::Value::Array(list) => list.iter().for_each(|one| collect(prefix, one, keys)),
        _ => {}
    }
}

/// One message for each reference that leads nowhere. `name` is the document's path below `root`.
pub fn dead(name: &str, text: &str, root: &Path, keys: &BTreeSet<String>) -> Vec<String> {
    let (mut found, mut fence) = (Vec::new(), None);
    let folder = root.join(name).parent().unwrap().to_owned();
    let mut toml_text = String::new();
    for (number, line) in text.lines().enumerate() {
        let place = format!("{name}:{}", number + 1);
        if let Some(language) = line.trim_start().strip_prefix("```") {
            if fence == Some("toml") {
                found.extend(unknown_keys(&toml_text, keys).into_iter().map(|why| format!("{place}: {why}")));
            }
            toml_text.clear();
            fence = if fence.is_some() { None } else { Some(language.trim()) };
        } else if fence.is_some() {
            toml_text.push_str(line);
            toml_text.push('\n');
        } else {
            let spans = line.split('`').skip(1).step_by(2);
            let links = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            let dead = spans.filter_map(|span| dead_span(span, root, &folder, keys));
            let dead = dead.chain(links.filter_map(|link| dead_link(link, &folder)));
            found.extend(dead.map(|why| format!("{place}: {why}")));
        }
    }
    found
}

fn dead_link(link: &str, folder: &Path) -> Option<String> {
    let target = link.split('#').next().unwrap_or_default();
    let lives = target.is_empty() || target.contains("://") || folder.join(target).exists();
    (!lives).then(|| format!("the link `{link}` leads nowhere"))
}

/// Folders of a checkout that has been used: what lies there is nobody's promise.
const MADE_BY_USE: [&str; 3] = ["runs", "target", "third_party"];

/// A path or key in backticks that does not exist.
fn dead_span(span: &str, root: &Path, folder: &Path, keys: &BTreeSet<String>) -> Option<String> {
    // `data.path = x` and `data.path=x` name a key.
    let word = span.split(['=', ' ']).next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if !word.chars().all(plain) || (word != span && word.contains('/')) {
        return None;
    }
    let ending = word.rsplit_once('.').map_or("", |(_, ending)| ending);
    let first = word.split('/').next().unwrap_or_default();
    let is_source = SOURCES.contains(&ending);
    if word.contains('/') || word.ends_with(".md") {
        let in_project = !first.is_empty() && !MADE_BY_USE.contains(&first) && root.join(first).exists();
        let must = is_source || (word.contains('/') && in_project);
        let lives = root.join(word).exists() || folder.join(word).exists();
        return (must && !lives).then(|| format!("there is no file `{word}`"));
    }
    let section = word.split_once('.').map(|(section, _)| section);
    let names_a_key = section.is_some_and(|section| keys.contains(section)) && !is_source && !FILES.contains(&ending);
    let key: Vec<&str> = word.split('.').filter(|part| part.parse::<usize>().is_err()).collect();
    (names_a_key && !keys.contains(&key.join("."))).then(|| format!("there is no config key `{word}`"))
}

/// Keys of a piece of config that no config knows.
fn unknown_keys(text: &str, keys: &BTreeSet<String>) -> Vec<String> {
    let table = match text.parse::<toml::Table>() {
        Ok(table) => table,
        Err(error) => return vec![format!("this is no TOML: {error}")],
    };
    let mut found = BTreeSet::new();
    collect("", &toml::Value::Table(table), &mut found);
    found.difference(keys).map(|key| format!("there is no config key `{key}`")).collect()
}

#[test]
fn dead_references_are_found_and_living_ones_are_not() {
    let root = conrec_tests::root();
    let keys = config_keys(&root);
    let dead_in = |text: &str| dead("docs/x.md", text, &root, &keys).len();
    for good in [
        "see `configs/demo.toml`, `domain/`, `docs/plan.md`, `plan.md` and [the plan](plan.md#next)",
        "`runs/RUN/report.html`, `<store>/x.rs`, `model.safetensors`, `./conrec train x.toml`, `a/b`",
        "`data.path`, `--set`, `data.path = \"x\"`, `stage.3.beta=0.2`, `reward.swing.theta`",
        "```toml\n[data]\npath = \"x\"\n[[stage]]\nbeta = 1\n```",
        "```\n`no/such.rs`\n```",
    ] {
        assert_eq!(dead_in(good), 0, "{good}: {:?}", dead("docs/x.md", good, &root, &keys));
    }
    for bad in [
        "`configs/absent.toml`",
        "`absent/file.rs`",
        "`absent.md`",
        "[the plan](absent.md)",
        "`data.paht`",
        "`stage.3.betta=0.2`",
        "```toml\n[data]\npaht = \"x\"\n```",
        "```toml\n[data\n```",
    ] {
        assert_eq!(dead_in(bad), 1, "{bad}");
    }
}
