//! Texts made of any figures are valid, and say what the figures say.

use std::string::String;
use std::vec::Vec;

use abi::captype::CapType;
use cbuf_policy::Policy;
use proptest::prelude::*;
use serde_json::Value;

use crate::figures::*;
use crate::grammar::{Sample, parse};
use crate::latency::BUCKETS;
use crate::served::{Served, Which, bucket};
use crate::{json, prometheus};

fn example() -> (Figures, Served) {
    let pool = Pool {
        limit: 640,
        held: 600,
        charged: 1,
        lent: 2,
        allocations: 3,
        waiting: 4,
        collections: 5,
        collected: 6,
        blocked_us: 1_500_000,
        collecting_us: 42,
        forecast: Some(Forecast {
            wants: 700,
            needs: 650,
            least: 512,
            target: Some(100_000),
        }),
    };
    let component = |id, name, pool| Component {
        id,
        name,
        state: State::Running,
        faults: u64::from(id),
        restarts: 0,
        given: Some(Given {
            fixed: 10,
            owned: 20,
            text: 30,
        }),
        pool,
    };
    let mut capabilities = [0; CapType::ALL.len()];
    capabilities[CapType::Frame as usize] = 77;
    capabilities[CapType::Entry as usize] = 23;
    let figures = Figures {
        uptime_us: 61_000_001,
        choice: Some(Choice {
            policy: Policy::Limited,
            limit: Some(300),
        }),
        kernel: Kernel {
            invocations: Some(9),
            ..Kernel::default()
        },
        capabilities: Some(capabilities),
        memory: Memory {
            total: Some(1000),
            free: Some(1),
            buffers: Some(Buffers {
                total: 900,
                free: 100,
                held: 600,
                unpaid: 10,
                unused: 290,
                most: 800,
            }),
            lock: Some(Lock {
                taken: 40,
                waits: 2,
                waited_us: 7,
            }),
        },
        components: [
            component(0, "init", None),
            component(1, "webserver", Some(pool)),
        ]
        .into(),
        edges: [Edge {
            caller: 1,
            callee: 0,
            calls: 12,
        }]
        .into(),
    };
    let mut served = Served::default();
    served.take(Which::Requests as u32, 1000);
    served.take(Which::LatencySumNs as u32, 2_000_000_001);
    served.take(bucket(0), 5);
    served.take(bucket(3), 7);
    served.take(bucket(BUCKETS - 1), 1);
    (figures, served)
}

fn one<'s>(samples: &'s [Sample], name: &str, labels: &[(&str, &str)]) -> &'s Sample {
    let fits = |s: &&Sample| s.name == name && labels.iter().all(|(l, v)| s.label(l) == *v);
    let mut found = samples.iter().filter(fits);
    let first = found.next().unwrap_or_else(|| panic!("no {name}"));
    assert!(found.next().is_none(), "several {name}");
    first
}

#[test]
fn metrics_say_what_the_figures_say() {
    let (figures, served) = example();
    let text = prometheus::write(&figures, &served);
    let samples = parse(&text).unwrap();
    let of = |name: &str, labels: &[(&str, &str)]| one(&samples, name, labels).value;
    let web = [("component", "webserver")];
    assert_eq!(of("cistern_uptime_seconds", &[]), 61.000001);
    assert_eq!(of("cistern_policy_info", &[("policy", "limited")]), 1.0);
    assert_eq!(of("cistern_policy_limit_pages", &[]), 300.0);
    assert_eq!(of("cistern_pool_held_pages", &web), 600.0);
    assert_eq!(of("cistern_pool_blocked_seconds_total", &web), 1.5);
    assert_eq!(of("cistern_pool_collecting_seconds_total", &web), 0.000042);
    assert_eq!(of("cistern_pool_target_ratio", &web), 0.1);
    assert_eq!(of("cistern_buffer_lock_taken_total", &[]), 40.0);
    assert_eq!(of("cistern_buffer_lock_waits_total", &[]), 2.0);
    let waited = "cistern_buffer_lock_waited_seconds_total";
    assert_eq!(of(waited, &[]), 0.000007);
    let edge = [("caller", "webserver"), ("callee", "init")];
    assert_eq!(of("cistern_invocations_total", &edge), 12.0);
    assert_eq!(of("cistern_kernel_invocations_total", &[]), 9.0);
    assert_eq!(of("cistern_capabilities", &[("type", "Frame")]), 77.0);
    assert_eq!(of("cistern_http_requests_total", &[]), 1000.0);
    let bucket = "cistern_http_request_duration_seconds_bucket";
    assert_eq!(of(bucket, &[("le", "0.000050")]), 5.0);
    assert_eq!(of(bucket, &[("le", "0.000100")]), 12.0);
    assert_eq!(of(bucket, &[("le", "+Inf")]), 13.0);
    let sum = of("cistern_http_request_duration_seconds_sum", &[]);
    assert_eq!(sum, 2.000000001);
    // What nobody told is not there.
    assert!(!text.contains("cistern_kernel_faults_total"));
    assert!(!text.contains("cistern_http_connections_open"));
}

#[test]
fn stats_say_what_the_figures_say() {
    let (figures, served) = example();
    let stats: Value = serde_json::from_str(&json::write(&figures, &served)).unwrap();
    assert_eq!(stats["policy"]["name"], "limited");
    assert_eq!(stats["policy"]["limit"], 300);
    assert_eq!(stats["policies"].as_array().unwrap().len(), 5);
    assert_eq!(stats["capabilities"]["total"], 100);
    assert_eq!(stats["capabilities"]["types"]["Entry"], 23);
    assert_eq!(stats["memory"]["buffers"]["held"], 600);
    assert_eq!(stats["memory"]["lock"]["waited_us"], 7);
    assert_eq!(stats["memory"]["buffers"]["most"], 800);
    assert_eq!(stats["components"][0]["pool"], Value::Null);
    assert_eq!(stats["components"][1]["pool"]["collecting_us"], 42);
    assert_eq!(stats["components"][1]["pool"]["target_ppm"], 100_000);
    assert_eq!(stats["edges"][0]["calls"], 12);
    assert_eq!(stats["kernel"]["faults"], Value::Null);
    assert_eq!(stats["http"]["requests"], 1000);
    assert_eq!(stats["http"]["latency"]["counts"][3], 7);
    assert_eq!(stats["http"]["latency"]["sum_ns"], 2_000_000_001u64);
}

#[test]
fn an_image_without_anybody_to_ask_has_texts_too() {
    let nothing = (Figures::default(), Served::default());
    parse(&prometheus::write(&nothing.0, &nothing.1)).unwrap();
    let stats: Value = serde_json::from_str(&json::write(&nothing.0, &nothing.1)).unwrap();
    for (of, at) in [
        ("policy", &stats["policy"]),
        ("memory", &stats["memory"]["buffers"]),
        ("lock", &stats["memory"]["lock"]),
    ] {
        assert_eq!(*at, Value::Null, "{of}");
    }
}

#[test]
fn the_grammar_refuses_what_is_wrong() {
    let head = "# HELP a_total A.\n# TYPE a_total counter\n";
    let histogram = "# HELP h H.\n# TYPE h histogram\n";
    for (text, why) in [
        ("a_total 1\n", "before its TYPE"),
        ("# TYPE a_total counter\n", "TYPE in the wrong place"),
        ("# HELP a A.\n# TYPE a counter\n", "_total"),
        ("# HELP a_total A.\n# TYPE a_total tally\n", "no known type"),
        (&[head, "a_total x\n"].concat(), "no number"),
        (&[head, "a_total -1\n"].concat(), "below zero"),
        (&[head, "b_total 1\n"].concat(), "another family's"),
        (&[head, "a_total 1\na_total 1\n"].concat(), "twice"),
        (&[head, "a_total{b=\"c} 1\n"].concat(), "does not end"),
        (&[head, "a_total{b=\"\\t\"} 1\n"].concat(), "unknown escape"),
        (&[head, "a_total{1=\"\"} 1\n"].concat(), "malformed label"),
        (&[head, "a_total 1\n", head].concat(), "two places"),
        (&[head, "a_total 1"].concat(), "no end"),
        (
            &[histogram, "h_bucket{le=\"1\"} 2\nh_count 2\n"].concat(),
            "not its count",
        ),
        (
            &[
                histogram,
                "h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_count 1\n",
            ]
            .concat(),
            "fall",
        ),
    ] {
        let refused = parse(text).unwrap_err();
        assert!(refused.contains(why), "{text}: {refused}");
    }
}

fn any_figures() -> impl Strategy<Value = (Figures, Served)> {
    let words = proptest::collection::vec(any::<u64>(), 40);
    (words, 0usize..64, any::<u8>()).prop_map(|(words, count, mask)| {
        let word = |n: usize| words[n % words.len()];
        let (mut figures, mut served) = example();
        figures.uptime_us = word(0);
        figures.components.truncate(usize::from(mask & 3));
        for n in 0..count {
            let mut component = Component {
                id: n as u16,
                name: ["quo\"te", "back\\slash", "line\nend", "plain"][n % 4],
                faults: word(n),
                ..Component::default()
            };
            component.pool = (word(n) % 2 == 0).then(|| Pool {
                limit: word(n + 1),
                blocked_us: word(n + 2),
                collecting_us: word(n + 3),
                ..Pool::default()
            });
            // A name labels one component.
            if n < 4 && figures.components.is_empty() {
                figures.components.push(component);
            }
        }
        figures.kernel.faults = Some(word(5));
        figures.edges.clear();
        for (n, value) in words.iter().enumerate() {
            served.take(n as u32, *value);
            served.take(bucket(n), *value / 64);
        }
        (figures, served)
    })
}

proptest! {
    #[test]
    fn any_figures_make_valid_texts((figures, served) in any_figures()) {
        let parsed = parse(&prometheus::write(&figures, &served));
        prop_assert!(parsed.is_ok(), "{:?}", parsed.err());
        let text: String = json::write(&figures, &served);
        let stats: Value = serde_json::from_str(&text).unwrap();
        let components: &Vec<Value> = stats["components"].as_array().unwrap();
        prop_assert_eq!(components.len(), figures.components.len());
        prop_assert_eq!(stats["uptime_us"].as_u64(), Some(figures.uptime_us));
    }
}
