//! Capabilities: the mapping database on this machine beside other designs, and whole operations
//! inside the machine while the database grows. Source: S. Gerber's thesis on memory in Barrelfish
//! (ETH Zürich, 2018), 4.5.5 and 4.7.

mod host;
mod machine;

use super::Built;
use super::curves;
use super::report::publish;
use crate::project::Project;

pub fn run(project: &Project, built: &Built, rounds: usize) -> Result<(), String> {
    let machine = machine::run(built)?;
    let mut rows = machine.rows()?;
    rows.extend(host::run(project, rounds)?);
    let results = built.root.join("target/bench");
    let title = "Capabilities: operations by database size, the database beside other designs";
    publish(&results, "caps", title, &rows)?;
    let path = results.join("caps-sizes.svg");
    curves::draw(&path, "Instructions, by capabilities", &[machine.panel()?])?;
    println!("{}", path.display());
    Ok(())
}
