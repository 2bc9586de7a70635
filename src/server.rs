//! The HTTP face: the Momento-compatible topic API, tokens, server-sent events, stills, health
//! and figures.
//!
//! [`serve`] takes a listener and a shutdown future. Waiting polls and event streams end at once
//! when it resolves, so that the process leaves promptly with every answer written whole.

mod accept;
mod admission;
mod answer;
mod bounds;
mod channel;
mod chat;
mod control;
mod desk;
mod events;
mod feed;
mod gap_cure;
mod gate;
mod operator;
pub mod pages;
mod path;
mod tls;
mod tokens;
mod topics;
mod waiting;
mod webhook;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::RandomState;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use self::accept::Entrance;
use self::answer::ApiError;
pub use self::bounds::{Bounds, Network};
pub use self::channel::{Channel, Channels, Feed, OutputMonitor, Stalled, Still};
use self::chat::Chat;
pub use self::chat::{ChatSettings, ReviewFallback, ReviewUri, wire as chat_wire};
pub use self::desk::Controls;
use self::gap_cure::GapCure;
use self::gate::Gate;
pub use self::operator::{CONTROL_KEY_BYTES_MIN, ControlKey, ControlKeyError};
use self::pages::Images;
pub use self::tls::{Tls, TlsError, TlsFile};
use self::waiting::Waiting;
pub use self::webhook::{WEBHOOK_SECRET_BYTES_MIN, Webhook, WebhookSecret, WebhookSecretError};
use crate::artwork::Artwork;
use crate::metrics::Metrics;
use crate::momento::Minter;
use crate::output::FeedForm;
use crate::reaction::{Emoji, Palette};
use crate::source::{Guard, Inbox};
use crate::token::Key;
use crate::topic::{Broker, TopicName};

/// The cache whose topics are channels' reactions, as in the tutorial.
pub const REACTION_CACHE: &str = "video";

/// Subscribers of server-sent events at once; a further one is answered 503.
const SUBSCRIBERS_MAX: usize = 10_000;

/// Error answers held back at once; a further one goes out without delay.
const DELAYED_MAX: usize = 10_000;

/// Stills drawn at once, and requests that wait for their turn; a further one is answered 503.
const STILLS_AT_ONCE: usize = 2;
const STILLS_QUEUED: usize = 32;

/// Live feeds at once; a further one is answered 503. Each has a thread.
const FEEDS_MAX: usize = 64;

/// Of those, the ones that each have an encoder too.
const FEEDS_ENCODED_MAX: usize = 8;

/// How often idle topics and old items are looked for.
const REAP_INTERVAL: Duration = Duration::from_secs(5);

/// How long a client may take to read its last answer once the service stops.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(3);

/// Who is let in to the topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone. A readable token is held to its scope and its end; without one the caller is
    /// anonymous and may do everything. For loopback without a configured key.
    Open,
    /// Holders of a valid token.
    Required,
}

/// What the server serves.
pub struct Service {
    /// The topics.
    pub broker: Broker,
    /// Where everything is counted.
    pub metrics: Arc<Metrics>,
    /// Signs and checks tokens.
    pub key: Key,
    /// What is needed to change what the service does; `None`: where anyone is let in to the
    /// topics, to be at this machine.
    pub control_key: Option<ControlKey>,
    /// Mints tokens of a Momento account, in place of tokens of this service.
    pub minter: Option<Minter>,
    /// Who is let in to the topics.
    pub access: Access,
    /// The reactions that are sent to pages.
    pub palette: Arc<Palette>,
    /// The motion that pages of no channel show: the text of a CSS file.
    pub stylesheet: Arc<str>,
    /// The topic meant by a script whose `${streamId}` was never filled in.
    pub default_topic: String,
    /// The caches that exist; all others are answered 404. None: every cache exists.
    pub caches: Option<Vec<String>>,
    /// Whether a poller that names no number goes on where its last poll ended.
    pub gap_cure: bool,
    /// How long a poll waits for an item; 25 s suits every known client.
    pub hold: Duration,
    /// The images of reactions, by what stands for them.
    pub images: Vec<(Emoji, Artwork)>,
    /// The channels that are drawn. Any other name is that of a topic of [`REACTION_CACHE`].
    pub channels: Channels,
    /// What the channels' chat rooms are set to.
    pub chat: ChatSettings,
    /// Where reactions of other services go; `None`: nowhere.
    pub webhook: Option<Webhook>,
    /// How much of it callers may have.
    pub bounds: Bounds,
    /// What it speaks TLS with; `None`: it speaks plain HTTP.
    pub tls: Option<Tls>,
    /// The address listened on, for callers that don't name one in `Host`.
    pub address: SocketAddr,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("access", &self.access)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// All routes, for a server of your own. The caller's address is taken from axum's `ConnectInfo`
/// if it is there, and the bounds of connections are that server's own. Call [`Broker::reap`] from time to time.
pub fn router(service: Arc<Service>) -> Router {
    routes(&App::new(service))
}

/// Serves on `listener` until `shutdown` resolves, then answers what is waiting and returns; at
/// the latest 3 s later, if a client doesn't take its answer.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let app = App::new(service);
    let Service {
        bounds,
        tls,
        metrics,
        ..
    } = &*app.service;
    let entrance = Entrance::new(bounds, tls.as_ref(), metrics.connections.clone());
    let stop = app.clone();
    let served = entrance.serve(listener, routes(&app), async move {
        shutdown.await;
        stop.stop.send_replace(true);
    });
    let keep_fresh = async {
        match tls {
            Some(tls) => tls.keep_fresh().await,
            None => std::future::pending::<()>().await,
        }
    };
    tokio::select! {
        () = served => {}
        () = reap_until_stopped(&app) => {}
        () = keep_fresh => {}
    }
}

/// Serves `/metrics` and `/healthz` alone, for as long as the future is kept.
pub async fn serve_figures(listener: TcpListener, metrics: Arc<Metrics>) {
    let entrance = Entrance::new(&Bounds::default(), None, metrics.connections.clone());
    let figures = move || async move { control::figures(&metrics) };
    let routes = Router::new()
        .route("/metrics", get(figures))
        .route("/healthz", get(control::healthz));
    entrance
        .serve(listener, routes, std::future::pending())
        .await;
}

/// The service with what it remembers of its callers.
struct App {
    service: Arc<Service>,
    stop: watch::Sender<bool>,
    gate: Gate,
    waiting: Waiting,
    chat: Chat,
    gap_cure: Mutex<GapCure>,
    subscribers: Arc<Semaphore>,
    delayed: Semaphore,
    images: Images,
    /// Of the channels' topics.
    guards: HashMap<TopicName, Guard>,
    stills_queued: Arc<Semaphore>,
    stills_running: Arc<Semaphore>,
    feeds: Arc<Semaphore>,
    feeds_encoded: Arc<Semaphore>,
    /// Keyed at random, so that nobody can make two callers look the same.
    hasher: RandomState,
    told_of_anonymous: AtomicBool,
    told_of_unfilled: AtomicBool,
}

impl App {
    fn new(service: Arc<Service>) -> Arc<Self> {
        if let Some(webhook) = &service.webhook {
            webhook.channels.values().for_each(Inbox::live);
        }
        Arc::new(Self {
            waiting: Waiting::default(),
            chat: Chat::new(&service),
            images: Images::new(&service.images),
            guards: guards(&service.channels),
            gate: Gate::new(&service.bounds),
            service,
            stop: watch::Sender::new(false),
            gap_cure: Mutex::default(),
            subscribers: Arc::new(Semaphore::new(SUBSCRIBERS_MAX)),
            delayed: Semaphore::new(DELAYED_MAX),
            stills_queued: Arc::new(Semaphore::new(STILLS_QUEUED)),
            stills_running: Arc::new(Semaphore::new(STILLS_AT_ONCE)),
            feeds: Arc::new(Semaphore::new(FEEDS_MAX)),
            feeds_encoded: Arc::new(Semaphore::new(FEEDS_ENCODED_MAX)),
            hasher: RandomState::new(),
            told_of_anonymous: AtomicBool::new(false),
            told_of_unfilled: AtomicBool::new(false),
        })
    }

    fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Refuses a topic of a cache that doesn't exist.
    fn check_cache(&self, name: &TopicName) -> Result<(), ApiError> {
        match &self.service.caches {
            Some(caches) if !caches.iter().any(|cache| cache == name.cache()) => {
                let message = format!(
                    "no cache {:?}; there are: {}",
                    name.cache(),
                    caches.join(", ")
                );
                Err(ApiError::not_found("no_cache", message))
            }
            _ => Ok(()),
        }
    }

    /// Resolves when the service stops.
    async fn stopped(&self) {
        drop(self.stop.subscribe().wait_for(|stop| *stop).await);
    }
}

/// By topic; of several channels with one topic, the first's.
fn guards(channels: &Channels) -> HashMap<TopicName, Guard> {
    let mut guards = HashMap::new();
    for channel in channels.values() {
        let guard = || channel.guard.clone();
        guards.entry(channel.topic.clone()).or_insert_with(guard);
    }
    guards
}

/// One more of something that a gauge shows, until it is dropped.
#[derive(Debug)]
struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn routes(app: &Arc<App>) -> Router {
    let service = &app.service;
    let mut router = Router::new();
    for container in FeedForm::CONTAINERS {
        let path = format!("/channels/{{channel}}/feed.{container}");
        let feed = move |state, request| feed::subscribe(container, state, request);
        router = router.route(&path, get(feed));
    }
    let pages = pages::router(
        service.stylesheet.clone(),
        service.palette.clone(),
        &service.channels,
    );
    router
        .route("/tokens", post(tokens::mint))
        .route("/api/tokens", post(tokens::mint))
        .route("/api/Token/tokens", post(tokens::mint))
        .route("/channels/{channel}/events", get(events::subscribe))
        .route("/channels/{channel}/frame.png", get(control::frame))
        .route("/api/channels", get(desk::channels))
        .route(
            "/api/channels/{channel}",
            get(control::channel).patch(desk::change),
        )
        .route("/api/channels/{channel}/clear", post(desk::clear))
        .route("/api/channels/{channel}/pause", post(desk::pause))
        .route("/api/channels/{channel}/resume", post(desk::resume))
        .route("/api/channels/{channel}/burst", post(desk::burst))
        // A channel may have the name of a reaction: what is asked for is the reaction's image.
        .route(
            "/reactions/{name}",
            post(webhook::receive).get(pages::image),
        )
        .route("/healthz", get(control::healthz))
        .route("/readyz", get(control::readyz))
        .route("/metrics", get(control::metrics))
        .method_not_allowed_fallback(answer::method_not_allowed)
        // Topics are told by the end of the raw path, so that any base path may stand before it.
        .fallback(topics::handle)
        .layer(from_fn(answer::for_any_origin))
        .with_state(app.clone())
        .merge(chat::routes(app))
        .merge(pages.layer(from_fn_with_state(app.clone(), chat::at_root)))
        // Of the routes merged, which have none of their own.
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(from_fn_with_state(app.clone(), gate::pass))
}

async fn reap_until_stopped(app: &App) {
    let mut ticks = interval(REAP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.stopped() => break,
            _ = ticks.tick() => {
                app.service.broker.reap(Instant::now());
            }
        }
    }
    sleep(STOP_GRACE).await;
    tracing::warn!("left with clients that did not take their answers");
}

/// Whether this is the first time.
fn first(told: &AtomicBool) -> bool {
    !told.swap(true, Ordering::Relaxed)
}
