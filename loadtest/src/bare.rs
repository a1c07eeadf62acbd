//! A server with no work to do: the same transport, the same messages, made before anybody asks. What it reaches is the
//! most that a server on this machine could.

use std::net::SocketAddr;
use std::sync::Arc;

use prost::Message as _;
use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::sync_service_server::{SyncService, SyncServiceServer};
use roundsman_proto::sync::{Checkpoint, Page, PullRequest, PullResponse, PushRequest, PushResponse};
use roundsman_sync::page::{Cursor, PageBuilder, encode_frame};
use roundsman_sync::version::Position;
use tokio_stream::Iter;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::goods;

/// The articles whose product and price make up the long stream.
pub const ARTICLES: usize = 50_000;

type Messages = Box<dyn Iterator<Item = Result<PullResponse, Status>> + Send>;

/// Answers a pull without a position with all pages, one with a position with a bare checkpoint, and a push with
/// nothing.
#[derive(Clone, Debug)]
struct Bare {
    whole: Arc<[PullResponse]>,
    nothing: Arc<[PullResponse]>,
}

#[tonic::async_trait]
impl SyncService for Bare {
    type PullStream = Iter<Messages>;

    async fn pull(&self, request: Request<PullRequest>) -> Result<Response<Self::PullStream>, Status> {
        let messages = if request.get_ref().position.is_none() { &self.whole } else { &self.nothing };
        let messages = Arc::clone(messages);
        let answers: Messages = Box::new((0..messages.len()).map(move |index| Ok(messages[index].clone())));
        Ok(Response::new(tokio_stream::iter(answers)))
    }

    async fn push(&self, _: Request<PushRequest>) -> Result<Response<PushResponse>, Status> {
        Ok(Response::new(PushResponse::default()))
    }
}

/// Serves until the process is ended.
pub async fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let last = PullResponse { message: Some(Message::Checkpoint(Checkpoint { last: true, ..Checkpoint::default() })) };
    let price_list = goods::id("price list");
    let products = frames(goods::product_id, |article| goods::product(article).encode_to_vec());
    let prices = frames(
        |article| goods::price_id(0, article),
        |article| goods::price(article, price_list, goods::price_minor(article)).encode_to_vec(),
    );
    let pages = pages(&products).into_iter().chain(pages(&prices));
    let whole = pages.map(|page| PullResponse { message: Some(Message::Page(page)) }).chain([last.clone()]).collect();
    let service = SyncServiceServer::new(Bare { whole, nothing: Arc::new([last]) });
    Ok(tonic::transport::Server::builder().tcp_nodelay(true).add_service(service).serve(listen).await?)
}

fn frames(id: impl Fn(usize) -> Uuid, document: impl Fn(usize) -> Vec<u8>) -> Vec<(Uuid, Vec<u8>)> {
    let frame = |article| (id(article), encode_frame(id(article), 1, Some(&document(article))));
    (0..ARTICLES).map(frame).collect()
}

fn pages(frames: &[(Uuid, Vec<u8>)]) -> Vec<Page> {
    let finish = |page: PageBuilder| page.finish(1, Cursor::default(), Position::default());
    let mut pages = Vec::new();
    let mut page = PageBuilder::default();
    for (record, frame) in frames {
        if !page.fits(frame.len()) {
            pages.push(finish(std::mem::take(&mut page)));
        }
        page.push(1, *record, frame);
    }
    pages.push(finish(page));
    pages
}
