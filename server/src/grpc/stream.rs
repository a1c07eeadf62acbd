//! `Pull` on the wire. A page leaves as the bytes that all devices share: the library's own encoder would copy each of them
//! for each device, and keep a buffer as large as the largest for as long as a stream is open.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, Response, header};
use bytes::{BufMut as _, Bytes};
use futures::{Stream, StreamExt as _};
use http_body::{Body, Frame, SizeHint};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::sync_service_server::SyncService as _;
use roundsman_proto::sync::{PullRequest, PullResponse};
use tonic::metadata::MetadataMap;
use tonic::{Status, Streaming};
use tonic_prost::ProstDecoder;

use super::sync::SyncDoor;
use crate::app::{Core, MESSAGE_BYTES};

/// The method that is served here.
pub const PATH: &str = "/roundsman.sync.v1.SyncService/Pull";

/// `page` in `PullResponse`, and `payload` in `Page`.
const PAGE: u32 = 4;
const PAYLOAD: u32 = 6;
/// Small messages leave together, up to about so many bytes.
const TOGETHER_BYTES: usize = 8 * 1024;

/// Decodes the request, lets the door answer it, and sends what it says.
pub async fn pull(State(core): State<Arc<Core>>, request: Request<axum::body::Body>) -> Response<tonic::body::Body> {
    let answer = match decode(request).await {
        Ok(request) => SyncDoor(core).pull(request).await,
        Err(status) => Err(status),
    };
    match answer {
        Ok(messages) => {
            let (metadata, messages, _) = messages.into_parts();
            let mut response = Response::new(tonic::body::Body::new(Messages::new(messages)));
            *response.headers_mut() = metadata.into_headers();
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            response
        }
        Err(status) => status.into_http(),
    }
}

async fn decode(request: Request<axum::body::Body>) -> Result<tonic::Request<PullRequest>, Status> {
    let (parts, body) = request.into_parts();
    if parts.headers.get("grpc-encoding").is_some_and(|encoding| encoding != "identity") {
        return Err(Status::unimplemented("requests are taken without compression"));
    }
    let decoder = ProstDecoder::<PullRequest>::default();
    let mut messages = Streaming::new_request(decoder, body, None, Some(MESSAGE_BYTES));
    let message = messages.message().await?.ok_or_else(|| Status::invalid_argument("the request is missing"))?;
    Ok(tonic::Request::from_parts(MetadataMap::from_headers(parts.headers), parts.extensions, message))
}

/// A stream of messages as the body of a response.
struct Messages<S> {
    messages: Option<S>,
    /// A page's bytes, whose head has just left.
    payload: Option<Bytes>,
    end: Option<Status>,
}

impl<S> Messages<S> {
    fn new(messages: S) -> Self {
        Self { messages: Some(messages), payload: None, end: None }
    }
}

impl<S: Stream<Item = Result<PullResponse, Status>> + Unpin> Body for Messages<S> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(payload) = self.payload.take() {
            return Poll::Ready(Some(Ok(Frame::data(payload))));
        }
        let mut together = Vec::new();
        while let Some(messages) = &mut self.messages {
            match messages.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(message))) => {
                    self.payload = encode(message, &mut together);
                    if self.payload.is_some() || together.len() >= TOGETHER_BYTES {
                        break;
                    }
                }
                Poll::Ready(Some(Err(status))) => (self.messages, self.end) = (None, Some(status)),
                Poll::Ready(None) => (self.messages, self.end) = (None, Some(Status::ok(""))),
                Poll::Pending if together.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        if !together.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(together.into()))));
        }
        let Some(status) = self.end.take() else { return Poll::Ready(None) };
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.messages.is_none() && self.payload.is_none() && self.end.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Appends a message as gRPC frames it: a byte that says whether it is compressed, its length in four, and itself. What is
/// returned follows it.
fn encode(mut message: PullResponse, out: &mut Vec<u8>) -> Option<Bytes> {
    let Some(Message::Page(page)) = &mut message.message else {
        frame(message.encoded_len(), out);
        message.encode_raw(out);
        return None;
    };
    // The order of fields is free, so the payload can be the last one.
    let payload = std::mem::take(&mut page.payload);
    let field = |number, length: usize| key_len(number) + encoded_len_varint(length as u64);
    let page_bytes = page.encoded_len() + field(PAYLOAD, payload.len()) + payload.len();
    frame(field(PAGE, page_bytes) + page_bytes, out);
    let begin = |number, length: usize, out: &mut Vec<u8>| {
        encode_key(number, WireType::LengthDelimited, out);
        encode_varint(length as u64, out);
    };
    begin(PAGE, page_bytes, out);
    page.encode_raw(out);
    begin(PAYLOAD, payload.len(), out);
    Some(payload)
}

fn frame(bytes: usize, out: &mut Vec<u8>) {
    out.put_u8(0);
    out.put_u32(u32::try_from(bytes).expect("a message is far smaller than 4 GiB"));
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use roundsman_proto::sync::{Checkpoint, Page, Position};

    use tonic::Code;

    use super::*;

    fn message(message: Message) -> PullResponse {
        PullResponse { message: Some(message) }
    }

    fn page(payload: &[u8]) -> PullResponse {
        let build = Some(Position { version: 900, nonce: 7 });
        message(Message::Page(Page {
            bucket_id: 3,
            rows: 300,
            payload: Bytes::copy_from_slice(payload),
            payload_size: 70_000,
            build,
            ..Page::default()
        }))
    }

    /// What a client would read, frame by frame.
    async fn read(body: impl Body<Data = Bytes, Error = Status>) -> (Vec<Bytes>, HeaderMap) {
        let mut body = std::pin::pin!(body);
        let mut data = Vec::new();
        loop {
            let frame = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await;
            match frame.expect("goes on").expect("is no error").into_data() {
                Ok(bytes) => data.push(bytes),
                Err(frame) => return (data, frame.into_trailers().expect("are trailers")),
            }
        }
    }

    fn decoded(data: &[Bytes]) -> Vec<PullResponse> {
        let mut rest: &[u8] = &data.concat();
        let mut found = Vec::new();
        while let Some((head, after)) = rest.split_first_chunk::<5>() {
            assert_eq!(head[0], 0, "nothing is compressed");
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            found.push(PullResponse::decode(&after[..length]).expect("is a message"));
            rest = &after[length..];
        }
        found
    }

    #[tokio::test]
    async fn pages_leave_as_they_are_shared() {
        let last = message(Message::Checkpoint(Checkpoint { last: true, ..Checkpoint::default() }));
        let long = vec![5; 70_000];
        let sent = vec![last.clone(), page(&long), page(&[]), page(b"x"), last];
        let Some(Message::Page(Page { payload: shared, .. })) = &sent[1].message else { panic!("is a page") };
        let (data, trailers) = read(Messages::new(stream::iter(sent.clone().into_iter().map(Ok)))).await;
        assert_eq!(decoded(&data), sent);
        assert!(data.iter().any(|bytes| bytes.as_ptr() == shared.as_ptr()), "the page was copied");
        assert_eq!(data.len(), 7, "small messages leave together");
        assert_eq!(trailers["grpc-status"], "0");
    }

    #[tokio::test]
    async fn the_reason_of_an_end_follows_what_came_before_it() {
        let sent = [Ok(page(b"rows")), Err(Status::aborted("over"))];
        let (data, trailers) = read(Messages::new(stream::iter(sent))).await;
        assert_eq!(decoded(&data), [page(b"rows")]);
        assert_eq!(trailers["grpc-status"], "10");
        assert_eq!(trailers["grpc-message"], "over");
    }

    /// A message of a body, as its head says it is.
    fn framed(flag: u8, length: usize, bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(length).expect("is short");
        [&[flag][..], &length.to_be_bytes(), bytes].concat()
    }

    async fn decoded_request(body: Vec<u8>, encoding: Option<&str>) -> Result<PullRequest, Code> {
        let mut request = Request::new(axum::body::Body::from(body));
        if let Some(encoding) = encoding {
            request.headers_mut().insert("grpc-encoding", encoding.parse().expect("is a header"));
        }
        decode(request).await.map(tonic::Request::into_inner).map_err(|status| status.code())
    }

    #[tokio::test]
    async fn only_a_whole_request_is_taken() {
        let sent = PullRequest { protocol_version: 1, app_version: "1.2.3".to_owned(), ..PullRequest::default() };
        let bytes = sent.encode_to_vec();
        let good = framed(0, bytes.len(), &bytes);
        assert_eq!(decoded_request(good.clone(), None).await, Ok(sent.clone()));
        assert_eq!(decoded_request(good.clone(), Some("identity")).await, Ok(sent));
        assert_eq!(decoded_request(framed(0, 0, &[]), None).await, Ok(PullRequest::default()), "all fields are unset");
        for (body, encoding, refused) in [
            (Vec::new(), None, Code::InvalidArgument),
            (good.clone(), Some("gzip"), Code::Unimplemented),
            (framed(1, bytes.len(), &bytes), None, Code::Internal),
            (framed(7, bytes.len(), &bytes), None, Code::Internal),
            (good[..3].to_vec(), None, Code::Internal),
            (good[..good.len() - 1].to_vec(), None, Code::Internal),
            (framed(0, bytes.len() - 1, &bytes[..bytes.len() - 1]), None, Code::Internal),
            (framed(0, MESSAGE_BYTES + 1, &[]), None, Code::OutOfRange),
            (framed(0, 2, &[0xFF, 0xFF]), None, Code::Internal),
        ] {
            assert_eq!(
                decoded_request(body.clone(), encoding).await,
                Err(refused),
                "{:?} {encoding:?}",
                &body[..body.len().min(8)]
            );
        }
    }
}
