//! What does keeping the books of one request cost, in time and in allocations?
//!
//! `alone` is what the ingress has, which shows what is counted where it is counted; `recorder` has a recorder of metrics beside.

use std::io::{self, Write as _};

use allocation_counter::measure;
use criterion::{Criterion, criterion_group};
use metrics_exporter_prometheus::PrometheusBuilder;
use tidegate_proxy::drain::Drain;
use tidegate_proxy::observe::exercise::Exercise;

const COUNTED: u64 = 1_000;

fn all(each: &mut dyn FnMut(&str, &Exercise)) {
    let (_drain, watch) = Drain::new();
    each("alone", &Exercise::new(watch.clone()));
    let recorder = PrometheusBuilder::new().build_recorder();
    let books = metrics::with_local_recorder(&recorder, || Exercise::new(watch));
    each("recorder", &books);
}

fn accounting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("accounting");
    all(&mut |name, books| {
        group.bench_function(name, |bencher| bencher.iter(|| books.answered()));
    });
    group.finish();
}

fn allocations() -> io::Result<()> {
    let mut out = io::stdout();
    let mut told = Ok(());
    writeln!(
        out,
        "{:<28} {:>12} {:>12}",
        "accounting, per request", "allocations", "bytes"
    )?;
    all(&mut |name, books| {
        // The first of a kind makes room.
        books.answered();
        let counted = measure(|| (0..COUNTED).for_each(|_| books.answered()));
        let each = |total: u64| total as f64 / COUNTED as f64;
        if told.is_ok() {
            told = writeln!(
                out,
                "{name:<28} {:>12.3} {:>12.1}",
                each(counted.count_total),
                each(counted.bytes_total)
            );
        }
    });
    told
}

criterion_group!(benches, accounting);

fn main() -> io::Result<()> {
    benches();
    Criterion::default().configure_from_args().final_summary();
    allocations()
}
