//! The planted bugs still fit the code; whether they are noticed is a longer run: the program `planted`.

use drawdown_tests::planted::{Fault, Tree};

#[test]
fn every_planted_bug_still_fits_the_code() {
    let faults = Fault::all().expect("every one of them can be read");
    assert!(faults.len() >= 30, "there are {}", faults.len());
    let misfits: Vec<String> = faults.iter().filter_map(|fault| plant(fault).err()).collect();
    assert!(misfits.is_empty(), "{}", misfits.join("\n"));
}

fn plant(fault: &Fault) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    Tree::of_what_changes(fault, folder.path())?.plant(fault)
}
