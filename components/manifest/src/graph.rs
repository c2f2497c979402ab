//! The invocation graph: no cycles, and an order to start components in.
//!
//! A cycle is refused because a thread could come back into a component on whose stack it
//! already has a frame.

use crate::source::Description;
use crate::{Component, Edge, Image, Problem, Warning};
use abi::ComponentId;
use alloc::string::String;
use alloc::vec::Vec;

fn name(components: &[Component], id: u16) -> &str {
    usize::from(id)
        .checked_sub(1)
        .map_or("init", |i| &components[i].name)
}

/// Ids of all components, each after everything that it invokes; the smallest first where there
/// is a choice.
pub(crate) fn start_order(
    components: &[Component],
    init_imports: &[Edge],
) -> Result<Vec<u16>, Problem> {
    let imports = |id: u16| match usize::from(id).checked_sub(1) {
        Some(i) => components[i].imports.as_slice(),
        None => init_imports,
    };
    let count = components.len() as u16;
    let mut order = Vec::new();
    let mut done = 0u64;
    let ready = |id: u16, done: u64| {
        done >> id & 1 == 0 && imports(id).iter().all(|e| done >> e.provider & 1 == 1)
    };
    while let Some(id) = (0..=count).find(|id| ready(*id, done)) {
        done |= 1 << id;
        order.push(id);
    }
    let Some(stuck) = (0..=count).find(|id| done >> id & 1 == 0) else {
        order.retain(|id| *id != 0);
        return Ok(order);
    };
    // Everything left waits for something left, so walking along edges must come round.
    let mut path = alloc::vec![stuck];
    loop {
        let here = path[path.len() - 1];
        let waits = imports(here).iter().find(|e| done >> e.provider & 1 == 0);
        let Some(edge) = waits else { break };
        if let Some(at) = path.iter().position(|id| *id == edge.provider) {
            path.drain(..at);
            path.push(edge.provider);
            break;
        }
        path.push(edge.provider);
    }
    let names: Vec<&str> = path.iter().map(|id| name(components, *id)).collect();
    Err(Problem::Cycle(names.join(" -> ")))
}

/// A provider's own thread that runs lower than a thread which can come in, and is not said to hold
/// locks for moments only. The component that runs with interrupts off has no locks and is left out.
pub(crate) fn warnings(image: &Image, source: &Description) -> Vec<Warning> {
    let mut out = Vec::new();
    for ((id, provider), described) in image.ids().zip(&source.component) {
        let invoked = (0..=image.components.len() as u16).any(|other| {
            image
                .imports(ComponentId(other))
                .iter()
                .any(|e| e.provider == id.0)
        });
        if !invoked && provider.threads.is_empty() {
            out.push(Warning::Idle(provider.name.clone()));
        }
        let threads = described.thread.iter().filter(|t| t.locks.is_none());
        let Some(low) = threads.map(|t| t.priority).min() else {
            continue;
        };
        if provider.no_preempt() {
            continue;
        }
        let reaching = reaching(image, id);
        let invokers = image
            .ids()
            .filter(|(other, _)| *other != id && reaching >> other.0 & 1 == 1);
        for (_, invoker) in invokers {
            let highest = invoker.threads.iter().map(|t| t.priority).max();
            if let Some(high) = highest.filter(|high| *high > low) {
                let names: [String; 2] = [invoker.name.clone(), provider.name.clone()];
                let [invoker, provider] = names;
                out.push(Warning::PriorityInversion {
                    invoker,
                    high,
                    provider,
                    low,
                });
            }
        }
    }
    out
}

/// The components from which invocations lead to `id`, itself included, as a bit set.
pub(crate) fn reaching(image: &Image, id: ComponentId) -> u64 {
    let mut set = 1u64 << id.0;
    // Every invoker comes after what it invokes, so one pass upwards finds all of them.
    for up in &image.start_order {
        if image
            .imports(ComponentId(*up))
            .iter()
            .any(|e| set >> e.provider & 1 == 1)
        {
            set |= 1 << up;
        }
    }
    set
}
