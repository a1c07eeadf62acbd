//! A first sync over a connection that breaks again and again: what was stored is not sent again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use roundsman::device::Synced;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{Outlet, RecordToImport};
use roundsman_tests::app::{TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{World, bytes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::{Channel, Endpoint};

use crate::desk::import;

on_both_databases!(a_first_sync_that_is_cut_twenty_times_costs_at_most_a_tenth_more);

const CUTS: i64 = 20;
/// Fewer and larger records than 100,000 rows of a catalogue are, and as many bytes.
const OUTLETS: usize = 10_000;
const COMMENT_BYTES: usize = 1_300;

/// A connection through which so many bytes come from the server before it breaks.
struct Wire {
    address: SocketAddr,
    left: Arc<AtomicI64>,
    carried: Arc<AtomicI64>,
}

impl Wire {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (left, carried) = (Arc::new(AtomicI64::new(i64::MAX)), Arc::new(AtomicI64::new(0)));
        let wire = Self { address, left: Arc::clone(&left), carried: Arc::clone(&carried) };
        tokio::spawn(async move {
            while let Ok((device, _)) = listener.accept().await {
                let server = TcpStream::connect(server).await.expect("the server listens");
                tokio::spawn(carry(device, server, Arc::clone(&left), Arc::clone(&carried)));
            }
        });
        wire
    }

    async fn connect(&self) -> Channel {
        let endpoint = Endpoint::try_from(format!("http://{}", self.address)).expect("an address");
        endpoint.connect().await.expect("connects")
    }
}

async fn carry(device: TcpStream, server: TcpStream, left: Arc<AtomicI64>, carried: Arc<AtomicI64>) {
    let (mut from_device, mut to_device) = device.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let sending = tokio::spawn(async move { tokio::io::copy(&mut from_device, &mut to_server).await });
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read) = from_server.read(&mut buffer).await
        && read > 0
    {
        let bytes = i64::try_from(read).expect("is small");
        let before = left.fetch_sub(bytes, Ordering::SeqCst);
        let passes = usize::try_from(before.clamp(0, bytes)).expect("is small");
        carried.fetch_add(i64::try_from(passes).expect("is small"), Ordering::SeqCst);
        if to_device.write_all(&buffer[..passes]).await.is_err() || passes < read {
            break;
        }
    }
    sending.abort();
}

/// A text that does not become much smaller.
fn comment(number: usize) -> String {
    let mut state = number as u64;
    let letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + u8::try_from(state >> 60).expect("four bits"))
    };
    std::iter::repeat_with(letter).take(COMMENT_BYTES).collect()
}

/// Pulls until it is whole or the connection breaks; says whether it is whole.
async fn pull(app: &TestApp, device: &mut TestDevice) -> bool {
    let Ok(mut stream) = device.open(app.now_us(), false, &mut Synced::default()).await else { return false };
    let whole = loop {
        match stream.message().await {
            Ok(Some(message)) => {
                device.take(message, &mut Synced::default()).expect("takes it");
            }
            Ok(None) => break true,
            Err(_broken) => break false,
        }
    };
    device.replica.cut();
    whole
}

async fn a_first_sync_that_is_cut_twenty_times_costs_at_most_a_tenth_more(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    for first in (0..OUTLETS).step_by(125) {
        let outlet = |number| {
            let outlet = Outlet { comment: comment(number), ..world.outlet(&world.anna, 0) };
            let record = Some(Record::Outlet(outlet));
            RecordToImport { record_id: bytes(app.id()), record, closed_month: 0 }
        };
        import(&app, (first..first + 125).map(outlet).collect()).await;
    }
    let address = app.url().trim_start_matches("http://").parse().expect("an address");
    let wire = Wire::to(address).await;
    let carried = || wire.carried.swap(0, Ordering::SeqCst);
    let mut device = app.device_at(&wire.connect().await, "anna").await;
    carried();
    assert!(pull(&app, &mut device).await);
    let uncut = carried();
    assert!(uncut > 5_000_000, "{uncut} bytes");

    let mut device = app.device_at(&wire.connect().await, "anna").await;
    carried();
    let mut cuts = 0;
    loop {
        // Anywhere, and not always at the same place of a page.
        let after = if cuts < CUTS { uncut / (CUTS + 1) + cuts * 997 } else { i64::MAX };
        wire.left.store(after, Ordering::SeqCst);
        if pull(&app, &mut device).await {
            break;
        }
        // What finds the old connection broken has brought nothing, and does not count.
        cuts += i64::from(wire.left.load(Ordering::SeqCst) <= 0);
    }
    let cut = carried();
    assert_eq!(cuts, CUTS);
    let ratio = cut as f64 / uncut as f64;
    assert!(ratio <= 1.10, "{cut} bytes with {cuts} cuts, {uncut} without: {ratio:.3}");
    app.assert_converged(&device, &world.caller(&world.anna)).await;
    app.finish().await;
}
