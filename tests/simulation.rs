//! The engine in bad weather: simulated years of runners, nodes, jobs and operators, from one seed each.

#[path = "simulation/chaos.rs"]
mod chaos;
#[path = "simulation/checks.rs"]
mod checks;
#[path = "simulation/cloud.rs"]
mod cloud;
#[path = "simulation/fact.rs"]
mod fact;
#[path = "simulation/faults.rs"]
mod faults;
#[path = "simulation/operators.rs"]
mod operators;
#[path = "simulation/process.rs"]
mod process;
#[path = "simulation/runner.rs"]
mod runner;
#[path = "simulation/site.rs"]
mod site;
#[path = "simulation/ssm.rs"]
mod ssm;
#[path = "simulation/store.rs"]
mod store;
#[path = "simulation/world.rs"]
mod world;
#[path = "simulation/wrapper.rs"]
mod wrapper;

use std::cell::RefCell;
use std::rc::Rc;

use checks::Checks;
use faults::{Class, Faults};
use site::Site;
use world::World;

#[test]
fn trial() {
    let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let seasons = std::env::var("SEASONS").ok().and_then(|s| s.parse().ok()).unwrap_or(2);
    let trace = std::env::var("TRACE").is_ok();
    let site = Site::new(seed, std::env::var("NOFENCE").is_err());
    let checks = Rc::new(RefCell::new(Checks::new(&site)));
    let seen = Rc::clone(&checks);
    let mut storm = Faults::kept(&site.lease);
    match std::env::var("BREAK").as_deref() {
        Ok("stale") => storm.stale_by = site.lease.staleness * 6,
        Ok("late") => storm.late_by = site.lease.request_life * 3,
        Ok("clock") => storm.clock_off = site.lease.skew * 40,
        Ok("careless") => storm.careless = true,
        _ => {}
    }
    let began = std::time::Instant::now();
    let totals = World::play(&site, &storm, seasons, Box::new(move |fact| {
        if trace { println!("{:?} {:?}", fact.at.0, fact.what); }
        seen.borrow_mut().see(fact);
    }), trace);
    let took = began.elapsed();
    let checks = checks.borrow();
    println!("{} nodes {} machines {} jobs lease {:?}", site.zones.len(), site.machines, site.jobs.len(), site.lease);
    for (class, count) in Class::ALL.iter().zip(&totals) { println!("{:28} {count}", class.label()); }
    println!("{:#?}", checks.figures);
    for violation in checks.violations.iter().take(10) { println!("{:?} {violation:?}", violation.at.0); }
    for promise in checks::Promise::ALL { println!("{promise:?} {}", checks.count(promise)); }
    println!("{} days in {took:?}", 14 * seasons);
}
