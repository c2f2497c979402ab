//! Whole runs by name: the profile under each policy, and under what it is compared with.

use crate::machine::{Decide, Fixed};
use crate::paper::{Order, PaperRule};
use crate::profile::{ENOUGH, INTERFERENCE, LENGTH_MS, LIMIT, WEB, simulation, terms};
use crate::trace::Trace;
use cbuf_policy::{Controller, Plan, Policy, Target, WHOLE};

/// How the profile's memory is shared.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Rule {
    /// Ours, with the limit of the paper except for throughput.
    Ours(Policy),
    /// Ours, for a target in hundredths.
    Target(u64),
    PaperLimited,
    PaperTarget(u64),
    /// So many of the limit's pages to the web server, the rest to the interference.
    Split(u64),
}

/// Half of the limit each.
pub const EQUAL: Rule = Rule::Split(LIMIT / 2);

/// In proportion to what they need at most: 224 and 64 pages.
pub const PROPORTIONAL: Rule = Rule::Split(LIMIT * 224 / (224 + 64));

/// Runs the whole profile.
pub fn run(rule: Rule) -> Trace {
    let (pages, mut decide) = decide(rule);
    simulation(pages, false).run(&mut *decide, LENGTH_MS)
}

fn decide(rule: Rule) -> (u64, Box<dyn Decide>) {
    let limited = |policy| Plan {
        policy,
        limit: Some(LIMIT),
        ..Plan::default()
    };
    match rule {
        Rule::Ours(Policy::Throughput) => (ENOUGH, ours(Plan::default())),
        Rule::Ours(policy) => (ENOUGH, ours(limited(policy))),
        Rule::Target(hundredths) => {
            let mut plan = limited(Policy::Qos);
            plan.set_target(Target {
                component: WEB,
                share: hundredths * WHOLE / 100,
            });
            (ENOUGH, ours(plan))
        }
        Rule::PaperLimited => (LIMIT, paper(Order::Proportional)),
        Rule::PaperTarget(hundredths) => {
            (LIMIT, paper(Order::Target(WEB, hundredths as f64 / 100.0)))
        }
        Rule::Split(web) => {
            let sizes = vec![(WEB, web), (INTERFERENCE, LIMIT - web)];
            (LIMIT, Box::new(Fixed(sizes)))
        }
    }
}

fn ours(plan: Plan) -> Box<dyn Decide> {
    let mut controller = controller(plan);
    for client in [WEB, INTERFERENCE] {
        controller.set_terms(client, terms(client));
    }
    Box::new(controller)
}

fn paper(order: Order) -> Box<dyn Decide> {
    Box::new(PaperRule::new(LIMIT, order))
}

/// A controller; on a host there is memory for it.
pub fn controller(plan: Plan) -> Controller {
    match Controller::new(plan) {
        Ok(controller) => controller,
        Err(error) => panic!("{error}"),
    }
}
