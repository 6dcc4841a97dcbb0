//! The answers on the receiver port. Bodies are constant: nothing of a request is ever reflected.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};

use crate::receiver::Outcome;

/// What hyper sends.
pub type Answer = Response<Full<Bytes>>;

/// 200 with the validator, exactly.
pub(crate) fn validator(validator: &Bytes) -> Answer {
    text(StatusCode::OK, validator.clone())
}

/// 404.
pub(crate) fn unknown_path() -> Answer {
    text(StatusCode::NOT_FOUND, Bytes::from_static(b"no receiver has this path"))
}

/// 405.
pub(crate) fn method() -> Answer {
    with(text(StatusCode::METHOD_NOT_ALLOWED, Bytes::from_static(b"GET, HEAD and POST only")), ALLOW, "GET, HEAD, POST")
}

/// The answer to a post with this outcome.
pub(crate) fn post(outcome: Outcome) -> Answer {
    let (status, message) = match outcome {
        Outcome::Accepted | Outcome::Quarantined => (StatusCode::OK, ""),
        Outcome::NotJson => (StatusCode::BAD_REQUEST, "the body is not JSON"),
        Outcome::Aborted => (StatusCode::BAD_REQUEST, "the body is not whole"),
        Outcome::Secret => (StatusCode::FORBIDDEN, "the secret is missing or wrong"),
        Outcome::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the body came too slowly"),
        Outcome::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        Outcome::Encoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "content encodings: identity and gzip"),
        Outcome::ShedMemory => (StatusCode::SERVICE_UNAVAILABLE, "out of memory for posts"),
        Outcome::ShedJournal => (StatusCode::SERVICE_UNAVAILABLE, "the journal takes nothing"),
        Outcome::ShedFenced => (StatusCode::SERVICE_UNAVAILABLE, "another process has taken over"),
        Outcome::ShedStopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
    };
    let answer = text(status, Bytes::from_static(message.as_bytes()));
    match outcome {
        // Memory comes back within a post's time, a full or failed journal needs somebody to look at it.
        Outcome::ShedMemory | Outcome::ShedStopping => with(answer, RETRY_AFTER, "5"),
        Outcome::ShedJournal | Outcome::ShedFenced => with(answer, RETRY_AFTER, "30"),
        _ => answer,
    }
}

/// The same answer, after which the connection ends: what is left of the request is not read.
pub(crate) fn closing(answer: Answer) -> Answer {
    with(answer, CONNECTION, "close")
}

fn text(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let answer = with(answer, X_CONTENT_TYPE_OPTIONS, "nosniff");
    with(answer, CONTENT_TYPE, "text/plain")
}

fn with(mut answer: Answer, name: HeaderName, value: &'static str) -> Answer {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}
