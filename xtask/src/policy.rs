//! The options that choose how memory is shared: checked before the machine boots, by the same
//! code that reads them in it, and put on the kernel command line.

use crate::RunArgs;
use cbuf_policy::settings::{Problem, Settings};
use manifest::Image;

/// Words for the kernel command line; empty where nothing was chosen.
pub fn words(args: &RunArgs, image: &Image) -> Result<String, String> {
    let options = [
        ("policy", &args.policy),
        ("memory-limit", &args.memory_limit),
        ("qos", &args.qos),
        ("priority", &args.priority),
        ("sizes", &args.sizes),
    ];
    let chosen: Vec<String> = options
        .iter()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_ref()?)))
        .collect();
    if chosen.is_empty() {
        return Ok(String::new());
    }
    if let Some(word) = chosen.iter().find(|w| w.contains(char::is_whitespace)) {
        return Err(format!("'{word}' is several words"));
    }
    let chooses = |c: &&manifest::Component| c.provides.iter().any(|p| p.interface == "policy");
    let component = image.components.iter().find(chooses).ok_or_else(|| {
        format!(
            "image '{}' has no component that provides `policy`, so there is nothing to choose",
            image.name
        )
    })?;
    check(&chosen.join(" "), image)?;
    let word = |word: &String| format!("{}.{word}", component.name);
    Ok(chosen.iter().map(word).collect::<Vec<_>>().join(" "))
}

fn check(text: &str, image: &Image) -> Result<(), String> {
    let pools = || image.ids().filter(|(_, c)| c.pool.is_some());
    let find = |name: &str| {
        let mut named = pools().filter(|(_, c)| c.name == name);
        Some(u32::from(named.next()?.0.0))
    };
    match Settings::parse(text).and_then(|s| s.plan(find)) {
        Ok(_) => Ok(()),
        Err(problem @ Problem::Component(_)) => {
            let names: Vec<&str> = pools().map(|(_, c)| c.name.as_str()).collect();
            Err(format!("{problem}: {}", names.join(", ")))
        }
        Err(problem) => Err(problem.to_string()),
    }
}
