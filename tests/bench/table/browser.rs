//! A peer that draws the same stylesheet: headless Chromium, the tutorial's page, frames handed
//! out with alpha.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::Html;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chromiumoxide::cdp::browser_protocol::dom::Rgba;
use chromiumoxide::cdp::browser_protocol::emulation::SetDefaultBackgroundColorOverrideParams;
use chromiumoxide::cdp::browser_protocol::page::{
    EventScreencastFrame, ScreencastFrameAckParams, StartScreencastFormat, StartScreencastParams,
};
use floatup::look::STYLESHEET;
use futures_util::StreamExt as _;
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::chromium::{Chromium, Tab};
use crate::machine::descendants_cpu_s;
use crate::measure::now;

const WIDTH: u32 = 1920;
const HEIGHT: u32 = 1080;

/// Sprites of a whole life, and what starts with the browser.
const WARM_UP: Duration = Duration::from_secs(4);
const LENGTH: Duration = Duration::from_secs(8);

const FONT: &[u8] = include_bytes!("../../../assets/fonts/NotoColorEmoji-floatup.ttf");

/// The tutorial's page, reduced to its overlay, with floatup's stylesheet.
const PAGE: &str = r#"<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>overlay</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/assets/overlay.css">
<style>
  html, body { margin: 0; overflow: hidden; background: transparent; }
  #videoPlayerContainer { position: relative; width: 100vw; height: 100vh; overflow: hidden; }
</style>
<div id="videoPlayerContainer"></div>
</html>"#;

/// `displayEmoji` is the tutorial's: an element a reaction, removed after two seconds.
const REACT: &str = r"(async (perSecond) => {
  await document.fonts.load('30px \'Floatup Emoji\'', '❤');
  const box = document.getElementById('videoPlayerContainer');
  const emoji = ['❤️', '💯', '👍', '🤯'];
  const width = box.offsetWidth;
  window.stats = { frames: 0, alive: 0, samples: 0 };
  const displayEmoji = (text) => {
    const element = document.createElement('div');
    element.textContent = text;
    element.className = 'animated-emoji';
    element.style.left = Math.random() * (width - 30) + 'px';
    box.appendChild(element);
    setTimeout(() => element.remove(), 2000);
  };
  const begun = performance.now();
  let shown = 0;
  setInterval(() => {
    const due = ((performance.now() - begun) / 1000) * perSecond;
    while (shown < due) displayEmoji(emoji[shown++ % 4]);
  }, 10);
  setInterval(() => { stats.alive += box.childElementCount; stats.samples++; }, 100);
  const tick = () => { stats.frames++; requestAnimationFrame(tick); };
  requestAnimationFrame(tick);
  return innerWidth + 'x' + innerHeight + 'x' + devicePixelRatio;
})";

/// What the browser did in one row's time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Elements in the page, on average.
    pub(crate) alive: f64,
    /// Animation frames a second.
    pub(crate) animated_per_s: f64,
    /// Frames a second that reached this program.
    pub(crate) delivered_per_s: f64,
    /// Those of them that differ from all others.
    pub(crate) unique_per_s: f64,
    /// CPU seconds a second, of all of the browser's processes.
    pub(crate) cpu: f64,
}

impl Row {
    /// CPU milliseconds for a frame that was delivered.
    pub(crate) fn ms_per_frame(&self) -> f64 {
        1e3 * self.cpu / self.delivered_per_s
    }
}

/// The frames that came since the row began.
#[derive(Default)]
struct Got {
    frames: u32,
    kinds: HashSet<u64>,
    last: String,
}

/// `sprites` of 30 px alive in a new browser; `screencast`: each frame is handed out as a PNG.
pub(crate) async fn measure(sprites: u32, screencast: bool) -> Result<Row> {
    let address = site().await?;
    let chromium = Chromium::launch().await;
    let tab = chromium
        .open(&format!("http://{address}/"), WIDTH, HEIGHT)
        .await;
    let row = animate(&tab, sprites, screencast).await;
    chromium.close().await;
    row
}

async fn site() -> Result<SocketAddr> {
    let css = || async { ([(CONTENT_TYPE, "text/css")], STYLESHEET) };
    let font = || async { ([(CONTENT_TYPE, "font/ttf")], FONT) };
    let router = Router::new()
        .route("/", get(Html(PAGE)))
        .route("/assets/overlay.css", get(css))
        .route("/assets/fonts/NotoColorEmoji-floatup.ttf", get(font));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    // Ends with the runtime.
    drop(tokio::spawn(
        async move { axum::serve(listener, router).await },
    ));
    Ok(address)
}

async fn animate(tab: &Tab, sprites: u32, screencast: bool) -> Result<Row> {
    let clear = Rgba::builder().r(0).g(0).b(0).a(0.0).build();
    let clear = clear.map_err(anyhow::Error::msg)?;
    let clear = SetDefaultBackgroundColorOverrideParams::builder().color(clear);
    tab.page.execute(clear.build()).await?;
    let window: String = tab.evaluate(&format!("{REACT}({})", sprites / 2)).await;
    ensure!(
        window == format!("{WIDTH}x{HEIGHT}x1"),
        "Chromium's window is {window}"
    );
    let got = Arc::new(Mutex::new(Got::default()));
    if screencast {
        start_screencast(tab, Arc::clone(&got)).await?;
    }
    sleep(WARM_UP).await;

    let (before, cpu_before) = (counts(tab).await, descendants_cpu_s()?);
    *lock(&got) = Got::default();
    let begun = now();
    sleep(LENGTH).await;
    let (seconds, cpu) = (
        begun.elapsed().as_secs_f64(),
        descendants_cpu_s()? - cpu_before,
    );
    let got = std::mem::take(&mut *lock(&got));
    let after = counts(tab).await;

    ensure!(
        tab.complaints().is_empty(),
        "the page complains: {:?}",
        tab.complaints()
    );
    if screencast {
        check(&got.last)?;
    }
    Ok(Row {
        alive: (after[1] - before[1]) / (after[2] - before[2]),
        animated_per_s: (after[0] - before[0]) / seconds,
        delivered_per_s: f64::from(got.frames) / seconds,
        unique_per_s: f64::from(u32::try_from(got.kinds.len())?) / seconds,
        cpu: cpu / seconds,
    })
}

async fn start_screencast(tab: &Tab, got: Arc<Mutex<Got>>) -> Result<()> {
    let mut frames = tab.page.event_listener::<EventScreencastFrame>().await?;
    let page = tab.page.clone();
    drop(tokio::spawn(async move {
        let hasher = RandomState::new();
        while let Some(frame) = frames.next().await {
            let taken = ScreencastFrameAckParams::new(frame.session_id);
            // The page may close at any time.
            if page.execute(taken).await.is_err() {
                break;
            }
            let data: &str = frame.data.as_ref();
            let mut got = lock(&got);
            got.frames += 1;
            got.kinds.insert(hasher.hash_one(data));
            data.clone_into(&mut got.last);
        }
    }));
    let cast = StartScreencastParams::builder()
        .format(StartScreencastFormat::Png)
        .max_width(WIDTH)
        .max_height(HEIGHT)
        .every_nth_frame(1);
    tab.page.execute(cast.build()).await?;
    Ok(())
}

/// Animation frames; elements seen, and how often they were counted.
async fn counts(tab: &Tab) -> [f64; 3] {
    tab.evaluate("[stats.frames, stats.alive, stats.samples]")
        .await
}

/// The frame that came last is whole, has sprites, and has alpha.
fn check(png: &str) -> Result<()> {
    let png = STANDARD.decode(png).context("a frame is no base64")?;
    let picture = image::load_from_memory(&png).context("a frame is no picture")?;
    ensure!(
        (picture.width(), picture.height()) == (WIDTH, HEIGHT),
        "a frame is {}x{}",
        picture.width(),
        picture.height()
    );
    let picture = picture.to_rgba8();
    let clear = picture.pixels().filter(|pixel| pixel.0[3] == 0).count();
    ensure!(clear > 0, "frames have no alpha");
    ensure!(clear < (WIDTH * HEIGHT) as usize, "frames have no sprites");
    Ok(())
}

fn lock(got: &Mutex<Got>) -> std::sync::MutexGuard<'_, Got> {
    got.lock().unwrap_or_else(PoisonError::into_inner)
}
