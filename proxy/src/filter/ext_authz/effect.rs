//! What does the answer of an authorization service do to a request, and what does a client get that is refused?

use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, WWW_AUTHENTICATE,
};
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use http_body::Body as _;
use hyper::ext::ReasonPhrase;

use super::codec::{Answer, Changes, QueryChange};
use super::{DENIED, ExtAuthz, Rematch, any, end_to_end};
use crate::body::Body;
use crate::connection::Peer;
use crate::error::{Error, Kind};
use crate::filter::{Note, Verdict};
use crate::normalize;
use crate::respond::{self, Dialect};
use crate::route::apply::ResponseEdits;

/// Fields that the client's response gets from the authorization service.
pub(in crate::filter) struct ForClient(Vec<(HeaderName, HeaderValue)>);

impl ForClient {
    pub(in crate::filter) fn on_response(self, response: &mut Response<Body>) {
        for (name, value) in self.0 {
            response.headers_mut().append(name, value);
        }
    }
}

impl ExtAuthz {
    /// Takes over what an allowing response says.
    pub(super) fn pass(&self, answer: &HeaderMap, request: &mut HeaderMap) -> Verdict {
        let mut changed = false;
        for name in answer.keys() {
            if end_to_end(name) && *name != HOST && any(&self.upstream_fields, name) {
                changed = true;
                request.remove(name);
                for value in answer.get_all(name) {
                    request.append(name, value.clone());
                }
            }
        }
        let kept = |name: &HeaderName| end_to_end(name) && any(&self.client_fields_allowed, name);
        let fields: Vec<_> = answer
            .iter()
            .filter(|(name, _)| kept(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let note = if fields.is_empty() {
            Note::None
        } else {
            Note::ExtAuthz(ForClient(fields))
        };
        self.verdict(note, changed)
    }

    /// Makes the changes that a service asks for.
    pub(super) fn change(&self, changes: &Changes, request: &mut Request<Body>) -> Result<Verdict, Error> {
        if let Some(target) = changed_query(request.uri(), &changes.query)? {
            *request.uri_mut() = target;
        }
        let changed = !changes.query.is_empty() || !changes.fields.request().is_empty();
        let edits = ResponseEdits::of_filter(&changes.fields, None, request);
        Ok(self.verdict(edits.map_or(Note::None, Note::Edits), changed))
    }

    fn verdict(&self, note: Note, changed: bool) -> Verdict {
        match self.rematch {
            Rematch::WhenChanged if changed => Verdict::PassAnew(note),
            Rematch::WhenChanged | Rematch::Never => Verdict::Pass(note),
        }
    }

    /// The service's refusal as the client gets it; its body streams.
    pub(super) fn refusal(&self, peer: &Peer, mut refusal: Response<Body>) -> Response<Body> {
        self.keep_for_client(refusal.headers_mut());
        let manners = peer.http().manners.as_ref();
        if let Some(replies) = manners.and_then(|manners| manners.replies.as_ref()) {
            // The service's answer becomes one of ours: without its words for the status, and with a type in any case.
            refusal.extensions_mut().remove::<ReasonPhrase>();
            if !refusal.body().is_end_stream() && !refusal.headers().contains_key(CONTENT_TYPE) {
                let content_type = replies.content_type.clone();
                refusal.headers_mut().insert(CONTENT_TYPE, content_type);
            }
        }
        refusal
    }

    /// The same for a client that is told by `grpc-status`.
    pub(super) fn refusal_of_call(&self, mut refusal: Answer) -> Verdict {
        self.keep_for_client(&mut refusal.headers);
        refusal.headers.remove(CONTENT_LENGTH);
        let response = respond::refusal(refusal.status, &refusal.body, refusal.headers, Dialect::Grpc);
        Verdict::Answer(Box::new(response), DENIED)
    }

    fn keep_for_client(&self, headers: &mut HeaderMap) {
        normalize::drop_hop_by_hop(headers);
        if self.client_fields_refused.is_empty() {
            return;
        }
        let kept =
            |name: &HeaderName| MEANT_FOR_CLIENT.contains(name) || any(&self.client_fields_refused, name);
        let dropped: Vec<_> = headers.keys().filter(|name| !kept(name)).cloned().collect();
        for name in dropped {
            headers.remove(name);
        }
    }
}

/// What a refusal is no use without: how long it is, where to go instead, and by what to be let in.
const MEANT_FOR_CLIENT: [HeaderName; 3] = [CONTENT_LENGTH, LOCATION, WWW_AUTHENTICATE];

/// The target with another query, where that is to be changed. What nobody names stays as it is.
fn changed_query(target: &Uri, changes: &[QueryChange]) -> Result<Option<Uri>, Error> {
    if changes.is_empty() {
        return Ok(None);
    }
    let parts = target.query().into_iter().flat_map(|query| query.split('&'));
    let mut parts: Vec<String> = parts.map(str::to_owned).collect();
    let is = |part: &str, name: &str| part.split_once('=').map_or(part, |(name, _)| name) == name;
    for change in changes {
        match change {
            QueryChange::Remove(name) => parts.retain(|part| !is(part, name)),
            QueryChange::Set(name, value) => {
                let at = parts.iter().position(|part| is(part, name));
                parts.retain(|part| !is(part, name));
                parts.insert(
                    at.unwrap_or(parts.len()).min(parts.len()),
                    format!("{name}={value}"),
                );
            }
        }
    }
    let path = target.path();
    let whole = match parts.as_slice() {
        [] => path.to_owned(),
        parts => format!("{path}?{}", parts.join("&")),
    };
    let invalid = |why| Error::new(Kind::AuthorizationFailed).with_source(why);
    let mut whole_target = target.clone().into_parts();
    whole_target.path_and_query =
        Some(PathAndQuery::try_from(whole).map_err(|why| invalid(http::Error::from(why)))?);
    let target = Uri::from_parts(whole_target).map_err(|why| invalid(http::Error::from(why)))?;
    Ok(Some(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_changed_by_name_and_the_rest_stays() {
        let check = |target: &'static str, changes: &[QueryChange], expected: &str| {
            let target = Uri::from_static(target);
            let changed = changed_query(&target, changes).unwrap();
            assert_eq!(changed.unwrap_or(target).to_string(), expected);
        };
        let set = |name: &str, value: &str| QueryChange::Set(name.into(), value.into());
        let remove = |name: &str| QueryChange::Remove(name.into());
        check("/a?b=1", &[], "/a?b=1");
        check("/a", &[set("b", "2")], "/a?b=2");
        check("/a?b=1&c&b=3", &[set("b", "2")], "/a?b=2&c");
        check("/a?c&b=3", &[remove("b"), set("d", "")], "/a?c&d=");
        check("/a?b", &[remove("b")], "/a");
        check("http://a/x?b", &[remove("b")], "http://a/x");
        let broken = changed_query(&Uri::from_static("/a"), &[set("b", "\n")]);
        assert_eq!(broken.unwrap_err().kind(), Kind::AuthorizationFailed);
    }
}
