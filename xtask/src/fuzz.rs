//! `cargo xtask fuzz`: boots the images whose components call at random what they must not, with
//! another seed each time, for as long as one likes.

use crate::machine::Machine;
use crate::progress::Step;
use crate::project::Project;
use crate::test::boot::{self, reported};
use crate::{FuzzArgs, build, compose, install, interrupt};
use std::time::{Duration, Instant, SystemTime};

/// The images, and the components in them that take a seed.
const IMAGES: [(&str, &[&str]); 3] = [
    ("hostile-calls", &["fuzz-kernel", "fuzz-manager", "corrupt"]),
    ("hostile-memory", &["meddler"]),
    (
        "soak",
        &["conductor", "soaker-1", "soaker-2", "soaker-3", "soaker-4"],
    ),
];
/// What one boot may take: emulated, on a machine that others use as well.
const LIMIT: Duration = Duration::from_secs(300);

pub fn run(project: &Project, args: &FuzzArgs) -> Result<(), String> {
    let chosen: Vec<_> = IMAGES
        .into_iter()
        .filter(|(name, _)| args.image.as_deref().is_none_or(|image| image == *name))
        .collect();
    if chosen.is_empty() {
        let names = IMAGES.map(|(name, _)| name).join(" and ");
        return Err(format!("only {names} take a seed"));
    }
    install::everything()?;
    let mut machines = Vec::new();
    for (name, components) in chosen {
        build::image(project, name)?;
        let packed = compose::pack(project, name)?;
        let mut machine = boot::machine(project, name, 64);
        machine.archive = packed.path;
        machines.push((name, components, packed.image.arguments, machine));
    }
    let first = args.seed.unwrap_or_else(any_seed);
    let limit = Duration::from_secs_f64(args.minutes.max(0.0) * 60.0);
    let started = Instant::now();
    let step = Step::start(&format!("fuzzing from seed {first}"));
    let (mut seed, mut boots) = (first, 0usize);
    loop {
        for (name, components, arguments, machine) in &mut machines {
            machine.append = boot::with_check(&command_line(arguments, components, seed));
            let share = 100.0 * started.elapsed().as_secs_f64() / limit.as_secs_f64().max(0.001);
            step.detail(&format!(
                "{:3.0} %: {name} with seed {seed}",
                share.min(100.0)
            ));
            let result = once(machine, &step);
            interrupt::check()?;
            result.map_err(|why| {
                format!(
                    "{name} with seed {seed}: {why}\nagain: cargo xtask fuzz --image {name} --seed {seed} --minutes 0"
                )
            })?;
            boots += 1;
        }
        seed = seed.wrapping_add(1);
        if started.elapsed() >= limit {
            break;
        }
    }
    step.done(&format!(
        "{boots} boots, seeds {first} to {}, nothing found",
        seed.wrapping_sub(1)
    ));
    Ok(())
}

/// One boot: an error for the first test that failed, or for a machine that did not end well.
fn once(machine: &Machine, step: &Step) -> Result<(), String> {
    let mut failed = None;
    let mut passed = 0;
    let ended = boot::to_the_end(machine, LIMIT, |line| match reported(line) {
        Some((name, Err(why))) if failed.is_none() => failed = Some(format!("{name}: {why}")),
        Some((name, _)) => {
            passed += 1;
            step.detail(name);
        }
        None => {}
    });
    match (failed, ended) {
        (Some(why), _) | (None, Err(why)) => Err(why),
        (None, Ok(_)) if passed == 0 => Err("it tested nothing".into()),
        (None, Ok(_)) => Ok(()),
    }
}

/// Gives each component the seed, over what the image says.
fn command_line(arguments: &str, components: &[&str], seed: u64) -> String {
    let settings = components.iter().map(|name| format!("{name}.seed={seed}"));
    let mut words = vec![arguments.to_string()];
    words.extend(settings);
    words.join(" ").trim().to_string()
}

/// Another one each time.
fn any_seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(1, |time| time.as_secs() * 1000)
}

#[cfg(test)]
mod tests {
    use super::command_line;

    #[test]
    fn seeds_come_after_what_the_image_says() {
        assert_eq!(
            command_line("a.b=c", &["x", "y"], 7),
            "a.b=c x.seed=7 y.seed=7"
        );
        assert_eq!(command_line("", &["x"], 0), "x.seed=0");
    }
}
