//! Do the inputs that were ever interesting still pass, and is every target complete?

use std::path::{Path, PathBuf};
use std::{fs, io};

use tidegate_fuzz::{TARGETS, Target};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(folder)?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

#[test]
fn every_corpus_replays() {
    for Target { name, run } in TARGETS {
        let corpus = root().join("corpus").join(name);
        let inputs = names(&corpus).unwrap();
        assert!(
            !inputs.is_empty(),
            "target '{name}' has no input in {}",
            corpus.display()
        );
        for input in inputs {
            // Shown by the test's output if the target panics.
            println!("replaying corpus/{name}/{input}");
            run(&fs::read(corpus.join(input)).unwrap());
        }
    }
}

#[test]
fn corpora_programs_and_targets_are_the_same_set() {
    let mut targets: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    targets.sort_unstable();
    assert_eq!(
        names(&root().join("corpus")).unwrap(),
        targets,
        "folders of corpus/"
    );
    let programs: Vec<String> = targets.iter().map(|target| format!("{target}.rs")).collect();
    assert_eq!(
        names(&root().join("fuzz_targets")).unwrap(),
        programs,
        "files of fuzz_targets/"
    );
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let declared: Vec<&str> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = "))
        .collect();
    let expected: Vec<String> = programs
        .iter()
        .map(|program| format!("\"fuzz_targets/{program}\""))
        .collect();
    assert_eq!(
        declared, expected,
        "[[bin]] sections of Cargo.toml, in alphabetical order"
    );
}
