//! Clients that do what a policy likes least. Whatever they do: no pool below its least size, the
//! sum never above the limit, nothing that the manager would refuse, and when they do the same for
//! a while, the sizes stand still.

use cbuf_policy::{Plan, Policy, Target, Terms};
use cbuf_policy_simulator::scene::controller;
use cbuf_policy_simulator::{Client, Kind, Simulation, Trace};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Habit {
    Steady(u64),
    /// Between two demands, every so many milliseconds.
    Oscillates(u64, u64, u64),
    /// Wants more every second, whatever it has.
    Hoards(u64),
    Idle,
    /// Works now and then.
    Comes(u64, u64),
}

/// Oscillation and hoarding end here; the sizes must stand still some time later.
const CALM_MS: u64 = 30_000;
const SETTLED_MS: u64 = 60_000;
const LENGTH_MS: u64 = 80_000;

impl Habit {
    fn demand(self, time_ms: u64) -> Option<u64> {
        let time_ms = time_ms.min(CALM_MS);
        match self {
            Self::Steady(pages) => Some(pages),
            Self::Oscillates(low, high, every) => Some(if (time_ms / every).is_multiple_of(2) {
                low
            } else {
                high
            }),
            Self::Hoards(growth) => Some(1 + growth * time_ms / 1_000),
            Self::Idle => None,
            Self::Comes(pages, every) => (time_ms / every).is_multiple_of(3).then_some(pages),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct One {
    habit: Habit,
    server: bool,
    allocations: u64,
    least: u64,
    start: u64,
    most: u64,
    priority: u32,
    noise: u64,
}

fn habit() -> impl Strategy<Value = Habit> {
    prop_oneof![
        (1u64..200).prop_map(Habit::Steady),
        (1u64..100, 1u64..300, 100u64..5_000).prop_map(|(a, b, t)| Habit::Oscillates(a, b, t)),
        (1u64..40).prop_map(Habit::Hoards),
        Just(Habit::Idle),
        (1u64..200, 100u64..5_000).prop_map(|(a, t)| Habit::Comes(a, t)),
    ]
}

fn one() -> impl Strategy<Value = One> {
    let numbers = (1u64..120, 1u64..40, 0u64..1_000, 0u32..4, 0u64..4);
    (habit(), any::<bool>(), numbers).prop_map(|(habit, server, numbers)| {
        let (allocations, least, beyond, priority, noise) = numbers;
        One {
            habit,
            server,
            allocations,
            least,
            start: least + beyond / 3,
            most: least + beyond,
            priority,
            noise,
        }
    })
}

fn plan(policy: usize, limit: Option<u64>) -> Plan {
    let mut plan = Plan {
        policy: Policy::ALL[policy],
        limit,
        ..Plan::default()
    };
    for (component, share) in [(0, 100_000), (2, 20_000)] {
        plan.set_target(Target { component, share });
    }
    plan
}

/// Runs clients of components 0, 1, ...
fn run(clients: &[One], total: u64, plan: Plan) -> Trace {
    let mut simulation = Simulation::apart(total);
    let mut controller = controller(plan);
    for (component, one) in (0..).zip(clients) {
        let kind = match one.server {
            true => Kind::Server,
            false => Kind::Periodic {
                allocations: one.allocations,
            },
        };
        let habit = one.habit;
        let client = Client::new(component, "", kind, 5_000, move |t| habit.demand(t));
        simulation.add(client.with_noise(one.noise), one.least);
        controller.set_terms(
            component,
            Terms {
                least: one.least,
                start: one.start,
                most: one.most,
                priority: one.priority,
                fixed: one.most,
                reach: 1 << component,
            },
        );
    }
    simulation.run(&mut controller, LENGTH_MS)
}

fn keeps_its_word(clients: &[One], total: u64, plan: Plan) -> Result<Trace, TestCaseError> {
    let trace = run(clients, total, plan);
    let least: u64 = clients.iter().map(|c| c.least).sum();
    let bound = plan.limit.unwrap_or(total).min(total).max(least);
    prop_assert_eq!(trace.refused, 0);
    prop_assert!(trace.most_pages <= bound, "{} > {bound}", trace.most_pages);
    for (one, lane) in clients.iter().zip(&trace.lanes) {
        let inside = |limit| (one.least..=one.most).contains(&limit);
        prop_assert!(lane.periods.iter().all(|p| inside(p.limit)));
    }
    Ok(trace)
}

/// How often sizes changed since.
fn moves(trace: &Trace, from_ms: u64) -> usize {
    let lanes = trace.lanes.iter();
    lanes
        .map(|lane| {
            let after = lane.periods.iter().filter(|p| p.time_ms >= from_ms);
            let limits: Vec<u64> = after.map(|p| p.limit).collect();
            limits.windows(2).filter(|w| w[0] != w[1]).count()
        })
        .sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nobody_breaks_the_bounds_and_all_settle(
        mut clients in prop::collection::vec(one(), 1..20),
        policy in 0..Policy::ALL.len(),
        limit in prop::option::of(1u64..1_500),
        beyond in 0u64..2_000,
    ) {
        // Noise without end moves sizes without end, as it should.
        clients.iter_mut().for_each(|c| c.noise = 0);
        let least: u64 = clients.iter().map(|c| c.least).sum();
        let trace = keeps_its_word(&clients, least + beyond, plan(policy, limit))?;
        let moves = moves(&trace, SETTLED_MS);
        prop_assert!(moves <= clients.len(), "{moves} moves of {} pools", clients.len());
    }

    #[test]
    fn noise_breaks_no_bounds(
        clients in prop::collection::vec(one(), 20),
        policy in 0..Policy::ALL.len(),
        limit in 1u64..1_500,
    ) {
        let least: u64 = clients.iter().map(|c| c.least).sum();
        keeps_its_word(&clients, least + 2_000, plan(policy, Some(limit)))?;
    }
}

fn simple(habit: Habit, least: u64) -> One {
    One {
        habit,
        server: false,
        allocations: 60,
        least,
        start: least,
        most: 10_000,
        priority: 0,
        noise: 0,
    }
}

/// The modest get what they need beside one that wants everything.
#[test]
fn a_hoarder_harms_nobody() {
    for policy in [1, 3] {
        let mut clients = vec![simple(Habit::Hoards(400), 5)];
        clients.extend([simple(Habit::Steady(40), 5); 4]);
        // Without a target of its own.
        let mut plan = plan(policy, Some(400));
        plan.targets = Default::default();
        plan.set_target(Target {
            component: 1,
            share: 100_000,
        });
        let trace = keeps_its_word(&clients, 4_000, plan).unwrap();
        for component in 1..5 {
            let lost = trace.mean(component, CALM_MS, LENGTH_MS, |p| p.lost());
            assert!(lost < 0.15, "{policy} {component}: {lost}");
        }
    }
}

/// From 10 s to 30 s: within two seconds everything is given back.
#[test]
fn all_idle_is_all_least() {
    for policy in 0..4 {
        let mut clients = [simple(Habit::Comes(50, 10_000), 7); 20];
        clients[3].habit = Habit::Idle;
        let trace = keeps_its_word(&clients, 4_000, plan(policy, None)).unwrap();
        for component in 0..20 {
            let most = trace.between(component, 0, 10_000).map(|p| p.limit).max();
            assert_eq!(most > Some(50), component != 3);
            let mut resting = trace.between(component, 12_000, CALM_MS);
            assert!(resting.all(|p| p.limit == 7), "{policy} {component}");
        }
    }
}

#[test]
fn a_limit_below_the_least_sizes_is_those() {
    for policy in 0..4 {
        let clients = [simple(Habit::Steady(50), 20); 10];
        let trace = keeps_its_word(&clients, 4_000, plan(policy, Some(30))).unwrap();
        assert_eq!(trace.most_pages, 200);
    }
}
