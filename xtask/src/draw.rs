//! An image as text for the terminal and as a DOT graph for a file.

use crate::compose;
use crate::project::Project;
use manifest::{Component, Image};
use std::fmt::Write;

/// Checks an image description, prints its components and writes `target/images/NAME.dot`.
pub fn draw(project: &Project, name: &str) -> Result<(), String> {
    let checked = compose::load(project, name)?;
    print!("{}", text(&checked.image));
    for warning in &checked.warnings {
        println!("warning: {warning}");
    }
    let path = project.target().join("images").join(format!("{name}.dot"));
    let failed = |e| format!("{} cannot be written: {e}", project.shown(&path));
    std::fs::create_dir_all(project.target().join("images")).map_err(failed)?;
    std::fs::write(&path, dot(&checked.image)).map_err(failed)?;
    println!("wrote {}", project.shown(&path));
    Ok(())
}

fn name(image: &Image, id: u16) -> &str {
    image
        .component(abi::ComponentId(id))
        .map_or("init", |c| &c.name)
}

/// Each component with what it holds and whom it invokes, in id order.
fn text(image: &Image) -> String {
    let kib = image.pages_at_start() * 4;
    let mut out = format!("{}: heaps, stacks and pools take {kib} KiB\n", image.name);
    for (id, component) in image.ids() {
        let _ = writeln!(
            out,
            "{:>2} {:<14} {}",
            id.0,
            component.name,
            holdings(component)
        );
        for (i, edge) in component.imports.iter().enumerate() {
            let corner = if i + 1 == component.imports.len() {
                '└'
            } else {
                '├'
            };
            let provider = name(image, edge.provider);
            let _ = writeln!(out, "   {corner}─ {} ─▶ {provider}", edge.interface);
        }
    }
    out
}

fn holdings(component: &Component) -> String {
    let mut parts = Vec::new();
    parts.extend(
        component
            .threads
            .iter()
            .map(|t| format!("thread {} priority {}", t.id, t.priority)),
    );
    parts.extend(
        component
            .pool
            .map(|p| format!("pool {} to {} pages", p.pages, p.max)),
    );
    parts.extend(
        component
            .device
            .map(|d| format!("device {:04x}:{:04x}", d.vendor, d.device)),
    );
    parts.extend(component.rights.iter().map(|r| r.word().to_string()));
    parts.join(", ")
}

fn dot(image: &Image) -> String {
    let mut out = format!(
        "digraph {:?} {{\n  rankdir=LR;\n  node [shape=box];\n",
        image.name
    );
    for (_, component) in image.ids() {
        let label = format!(
            "{}\\n{}",
            component.name,
            holdings(component).replace(", ", "\\n")
        );
        let _ = writeln!(out, "  {:?} [label=\"{label}\"];", component.name);
    }
    for (_, component) in image.ids() {
        for edge in &component.imports {
            let provider = name(image, edge.provider);
            let (from, label) = (&component.name, &edge.interface);
            let _ = writeln!(out, "  {from:?} -> {provider:?} [label={label:?}];");
        }
    }
    out + "}\n"
}
