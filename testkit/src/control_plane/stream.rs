//! One stream of the scripted control plane: requests in, what the model answers out.

use std::pin::Pin;
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use futures_util::{Stream, stream};
use prost::Message;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::model::{DeltaStream, Gate, SotwStream};
use super::record::Recorded;
use super::{Command, Shared};

/// What a stream sends.
pub(super) type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What is asked and answered in one of the two variants.
pub(super) trait Variant: Send + 'static {
    type Request: Message + Default + 'static;
    type Response: Message + Default + 'static;

    fn new(gate: Gate) -> Self;
    fn record(request: &Self::Request) -> Recorded;
    fn on_request(
        &mut self,
        request: Self::Request,
        url: Option<&str>,
        shared: &Shared,
    ) -> Option<Self::Response>;
    fn on_snapshot(&mut self, shared: &Shared) -> Vec<Self::Response>;
    fn injected(command: &Command) -> Option<Self::Response>;
}

impl Variant for SotwStream {
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;

    fn new(gate: Gate) -> Self {
        Self::new(gate)
    }

    fn record(request: &DiscoveryRequest) -> Recorded {
        Recorded::of_sotw(request)
    }

    fn on_request(
        &mut self,
        mut request: DiscoveryRequest,
        url: Option<&str>,
        shared: &Shared,
    ) -> Option<DiscoveryResponse> {
        if let Some(url) = url {
            url.clone_into(&mut request.type_url);
        }
        self.on_request(&request, shared.snapshot().as_ref())
    }

    fn on_snapshot(&mut self, shared: &Shared) -> Vec<DiscoveryResponse> {
        let snapshot = shared.snapshot();
        snapshot.map_or_else(Vec::new, |snapshot| self.on_snapshot(&snapshot))
    }

    fn injected(command: &Command) -> Option<DiscoveryResponse> {
        match command {
            Command::Inject(response) => Some(response.clone()),
            _ => None,
        }
    }
}

impl Variant for DeltaStream {
    type Request = DeltaDiscoveryRequest;
    type Response = DeltaDiscoveryResponse;

    fn new(_: Gate) -> Self {
        Self::default()
    }

    fn record(request: &DeltaDiscoveryRequest) -> Recorded {
        Recorded::of_delta(request)
    }

    fn on_request(
        &mut self,
        mut request: DeltaDiscoveryRequest,
        url: Option<&str>,
        shared: &Shared,
    ) -> Option<DeltaDiscoveryResponse> {
        if let Some(url) = url {
            url.clone_into(&mut request.type_url);
        }
        self.on_request(&request, shared.snapshot().as_ref())
    }

    fn on_snapshot(&mut self, shared: &Shared) -> Vec<DeltaDiscoveryResponse> {
        let snapshot = shared.snapshot();
        snapshot.map_or_else(Vec::new, |snapshot| self.on_snapshot(&snapshot))
    }

    fn injected(command: &Command) -> Option<DeltaDiscoveryResponse> {
        match command {
            Command::InjectDelta(response) => Some(response.clone()),
            _ => None,
        }
    }
}

/// Serves one stream; `url` is the type that its path implies.
pub(super) fn serve<V: Variant>(
    shared: Arc<Shared>,
    path: String,
    url: Option<&'static str>,
    requests: Streaming<V::Request>,
) -> Responses<V::Response> {
    let (number, commands) = shared.open(&path);
    let state = State {
        variant: V::new(shared.gate),
        shared,
        path,
        url,
        number,
        requests,
        commands,
        ready: Vec::new(),
    };
    Box::pin(stream::unfold(state, |mut state| async move {
        let next = state.next().await?;
        Some((Ok(next), state))
    }))
}

struct State<V: Variant> {
    variant: V,
    shared: Arc<Shared>,
    path: String,
    url: Option<&'static str>,
    number: usize,
    requests: Streaming<V::Request>,
    commands: mpsc::UnboundedReceiver<Command>,
    ready: Vec<V::Response>,
}

impl<V: Variant> State<V> {
    async fn next(&mut self) -> Option<V::Response> {
        loop {
            if let Some(response) = self.ready.pop() {
                self.shared.sent();
                return Some(response);
            }
            let mut answers = tokio::select! {
                request = self.requests.message() => {
                    let request = request.ok().flatten()?;
                    self.shared.record(self.recorded(&request));
                    let answer = self.variant.on_request(request, self.url, &self.shared);
                    answer.into_iter().collect()
                }
                command = self.commands.recv() => match command? {
                    Command::Changed => self.variant.on_snapshot(&self.shared),
                    Command::End => return None,
                    inject => {
                        self.ready.extend(V::injected(&inject));
                        continue;
                    }
                },
            };
            if !self.shared.is_silent() {
                self.shared.shuffle(&mut answers);
                self.ready.extend(answers);
            }
        }
    }

    fn recorded(&self, request: &V::Request) -> Recorded {
        let mut recorded = V::record(request);
        recorded.stream = self.number;
        recorded.path.clone_from(&self.path);
        if let Some(url) = self.url {
            url.clone_into(&mut recorded.type_url);
        }
        recorded
    }
}
