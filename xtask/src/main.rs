//! The build tool: `cargo xtask COMMAND`.
//!
//! Guarantees: whatever fails, fails with a sentence that says what was wrong and what to do;
//! every process that it starts ends with it, Ctrl-C included.
//! Trusts: the Rust toolchain, QEMU and the files of this project.
//! Never does: writes outside `target/` (except `new-component`, which adds the files it names,
//! and `run`, `test` and `bench`, which install what the machine lacks).

#![forbid(unsafe_code)]

mod bench;
mod browser;
mod build;
mod compose;
mod draw;
mod fuzz;
mod http;

mod install;
mod interrupt;
mod machine;
mod net;
mod new_component;
mod photographs;
mod policy;
mod program;
mod progress;
mod project;
mod run;
mod serial;
mod simd;
mod symbols;
mod test;

use clap::{Args, Parser, Subcommand};
use machine::Accel;
use project::Project;
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Builds, boots and tests Cistern",
    version
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds an image, boots it in QEMU and serves on 127.0.0.1 until Ctrl-C
    Run(RunArgs),
    /// Runs every test there is: format, lints, host and QEMU
    Test(TestArgs),
    /// Builds the kernel and all components, and packs one image or all
    Build {
        /// Only this file of components/images, given without its ending
        #[arg(long)]
        image: Option<String>,
    },
    /// Checks an image description and draws it
    Image { name: String },
    /// Makes a new component with its interface and an image that boots it
    NewComponent { name: String },
    /// Boots the images that call at random what they must not, with seed after seed
    Fuzz(FuzzArgs),
    /// Measures; `web` compares with Linux in the same QEMU, `caps` designs of the mapping database
    Bench {
        name: String,
        /// Boots of each guest, or repetitions
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Length of each load
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
        /// For `policy`: shortens its 65 seconds so many times
        #[arg(long, default_value_t = 1)]
        faster: u32,
    },
}

#[derive(Args, Clone)]
pub struct RunArgs {
    /// A file of components/images, without its ending
    #[arg(long, default_value = "webserver")]
    pub image: String,
    /// Port on 127.0.0.1
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Memory of the machine in MiB
    #[arg(long, default_value_t = 128)]
    pub memory: u32,
    #[arg(long, value_enum, default_value_t = Accel::Auto)]
    pub accel: Accel,
    /// QEMU's CPU model
    #[arg(long, default_value = "max")]
    pub cpu: String,
    /// Kernel command line, instead of the image's own
    #[arg(long)]
    pub append: Option<String>,
    /// How memory is shared: throughput, limited, priority, qos or static
    #[arg(long)]
    pub policy: Option<String>,
    /// What all pools may have together, like 300p (pages) or 2MiB
    #[arg(long)]
    pub memory_limit: Option<String>,
    /// Shares of time that applications may lose to memory, like webserver=10%
    #[arg(long)]
    pub qos: Option<String>,
    /// Whose pools go first, like webserver=30; default: as the threads that come to them
    #[arg(long)]
    pub priority: Option<String>,
    /// Sizes of pools in pages for the policy static, like webserver=60,cgi=40
    #[arg(long)]
    pub sizes: Option<String>,
}

#[derive(Args, Clone)]
pub struct FuzzArgs {
    /// How long; each image is booted at least once
    #[arg(long, default_value_t = 10.0)]
    pub minutes: f64,
    /// The first seed, instead of one made of the time
    #[arg(long)]
    pub seed: Option<u64>,
    /// Only this image: hostile-calls, hostile-memory or soak
    #[arg(long)]
    pub image: Option<String>,
}

#[derive(Args, Clone)]
pub struct TestArgs {
    /// Runs only tests whose name contains this
    #[arg(long, default_value = "")]
    pub filter: String,
    /// Leaves out what takes minutes
    #[arg(long)]
    pub quick: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match interrupt::watch().and_then(|()| execute(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("error: {text}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<(), String> {
    let project = Project::open()?;
    match command {
        Command::Run(args) => run::run(&project, &args),
        Command::Fuzz(args) => fuzz::run(&project, &args),
        Command::Test(args) => test::run(&project, &args),
        Command::Build { image } => build(&project, image.as_deref()),
        Command::Image { name } => draw::draw(&project, &name),
        Command::NewComponent { name } => {
            for path in new_component::create(&project, &name)? {
                println!("wrote {}", project.shown(&path));
            }
            println!("boot it: cargo xtask run --image {name}");
            Ok(())
        }
        Command::Bench {
            name,
            rounds,
            seconds,
            faster,
        } => bench(&project, &name, rounds, seconds, faster),
    }
}

fn build(project: &Project, image: Option<&str>) -> Result<(), String> {
    install::rust_target()?;
    let names = match image {
        Some(name) => {
            build::image(project, name)?;
            vec![name.to_string()]
        }
        None => {
            build::everything(project)?;
            project.images()?
        }
    };
    for name in names {
        let packed = compose::pack(project, &name)?;
        let shown = project.shown(&packed.path);
        println!("packed {shown} ({} KiB)", packed.bytes / 1024);
    }
    Ok(())
}

fn bench(
    project: &Project,
    name: &str,
    rounds: usize,
    seconds: f64,
    faster: u32,
) -> Result<(), String> {
    let image = bench::image(name)?;
    install::everything()?;
    build::image(project, image)?;
    let packed = compose::pack(project, image)?;
    let (root, kernel) = (project.root.clone(), project.kernel());
    let built = bench::Built {
        root,
        kernel,
        image: packed.path,
    };
    bench::run(name, project, &built, rounds, seconds, faster)
}
