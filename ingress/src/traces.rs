//! What sends the spans of connection managers to their collectors, as the configuration comes to describe them.

use tidegate_proxy::config::Handle;
use tidegate_proxy::drain::Watch;
use tidegate_proxy::observe::trace::Collector;
use tidegate_proxy::{Proxy, process};
use tidegate_xds::translate::listener::traces::{Protocol, Traces};

/// Starts it in the runtime that this is called in.
pub(crate) fn start(traces: &Traces, config: &Handle, watch: &Watch) {
    let proxy = Proxy::new(config.clone(), watch.clone());
    let (traces, watch) = (traces.clone(), watch.clone());
    process::spawn("traces", watch.unguarded(), async move {
        let mut forced = watch.forced();
        loop {
            let (to, exporter) = tokio::select! {
                next = traces.next() => next,
                () = &mut forced => return,
            };
            let through = match to.protocol {
                Protocol::Http => Collector::http_through,
                Protocol::Grpc => Collector::grpc_through,
            };
            let mut collector = through(&proxy, to.cluster, to.uri);
            collector.timeout = to.timeout.unwrap_or(collector.timeout);
            let running = exporter.run(collector, watch.clone());
            process::spawn("spans", watch.unguarded(), running);
        }
    });
}
