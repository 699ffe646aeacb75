//! Does the comparison run, from the command line to the files that it writes?
#![cfg(target_os = "linux")]

use std::process::Command;

use serde_json::Value;

#[test]
fn a_comparison_writes_what_it_measured() {
    let folder = tempfile::tempdir().unwrap();
    let (json, chart) = (
        folder.path().join("figures.json"),
        folder.path().join("chart.svg"),
    );
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate-bench"))
        .args([
            "compare",
            "--quick",
            "--subject",
            "relay",
            "--subject",
            "revision",
        ])
        .args(["--class", "h1", "--class", "grpc", "--hosts", "600"])
        .arg("--json")
        .arg(&json)
        .arg("--chart")
        .arg(&chart)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}{complaint}");
    assert!(text.contains("CPU µs/req"), "{text}");

    let figures: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let names = |class: usize| -> Vec<&str> {
        let rows = figures[class]["rows"].as_array().unwrap();
        rows.iter().map(|row| row["name"].as_str().unwrap()).collect()
    };
    assert_eq!(names(0), ["direct", "relay", "revision"]);
    assert_eq!(
        names(1),
        ["direct", "relay"],
        "the chain has no port for gRPC to HTTP/2"
    );
    for class in figures.as_array().unwrap() {
        for row in class["rows"].as_array().unwrap() {
            assert!(row["requests_per_second"].as_f64().unwrap() > 0.0, "{row}");
            assert_eq!(row["errors"], 0, "{row}");
        }
    }
    let chart = std::fs::read_to_string(&chart).unwrap();
    assert!(chart.contains("revision") && chart.contains("</svg>"), "{chart}");
}
