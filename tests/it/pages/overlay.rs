//! The browser source in a real Chromium.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use floatup::server::pages;

use super::backend::{Backend, PAGE};
use super::{COUNT_DRAWING, STYLESHEET};
use crate::chromium::Chromium;

const LIVE: &str = "document.documentElement.dataset.state === 'live'";

/// The next frames of the page: for each, the milliseconds since the one before, and how often the
/// canvas was drawn on and cleared.
const WATCH_FRAMES: &str = "(async () => {
    const frame = () => new Promise((resolve) => realFrame.call(window, resolve));
    const seen = [];
    for (let at = await frame(), before = { ...counts }; seen.length < 30;) {
      const now = await frame();
      seen.push([now - at, counts.drawImage - before.drawImage, counts.clearRect - before.clearRect]);
      at = now;
      before = { ...counts };
    }
    return seen;
  })()";

#[tokio::test(flavor = "multi_thread")]
async fn the_overlay_is_clear_but_for_its_sprites() {
    let backend = Backend::start(STYLESHEET);
    let chromium = Chromium::launch().await;
    let tab = chromium
        .open(&backend.url("/overlay/demo"), 1280, 720)
        .await;
    tab.wait_for(LIVE).await;
    let empty = tab.screenshot().await;
    assert_eq!(empty.dimensions(), (1280, 720));
    assert!(empty.pixels().all(|p| p[3] == 0), "nothing is drawn yet");

    tab.evaluate::<bool>(COUNT_DRAWING).await;
    backend.log.publish("heart");
    tab.wait_for("counts.drawImage > 0").await;
    let flying = tab.screenshot().await;
    let drawn: Vec<_> = flying
        .enumerate_pixels()
        .filter(|(_, _, p)| p[3] > 0)
        .collect();
    assert!((200..1500).contains(&drawn.len()), "{} pixels", drawn.len());
    let id = floatup::scatter::SpriteId {
        page: PAGE,
        sequence: 1,
        index: 0,
    };
    let left = id.left_px(1280.0, 30.0);
    for (x, y, p) in &drawn {
        let x = f64::from(*x);
        assert!(x >= left - 4.0 && x <= left + 62.0, "{x},{y}: {p:?}");
    }
    let red = drawn.iter().filter(|(_, _, p)| p[0] > p[1] && p[0] > p[2]);
    assert!(red.count() * 10 > drawn.len() * 9, "a heart is red");

    // The last frame clears and draws nothing; from then on the page asks for no frame.
    tab.wait_for("counts.clearRect > counts.drawImage").await;
    assert!(tab.screenshot().await.pixels().all(|p| p[3] == 0));
    let asked: Vec<u32> = tab
        .evaluate(
            "(async () => {
               const asked = [];
               for (let i = 0; i < 10; i++) {
                 await new Promise((r) => realFrame.call(window, r));
                 asked.push(frames_asked);
               }
               return asked;
             })()",
        )
        .await;
    assert_eq!(
        BTreeSet::from_iter(asked).len(),
        1,
        "an idle page does nothing"
    );

    // OBS adds a source's "Custom CSS" so, after the page has loaded.
    tab.evaluate::<bool>(
        "(() => {
           const style = document.createElement('style');
           style.textContent = '.animated-emoji { font-size: 90px }';
           document.head.append(style);
           return true;
         })()",
    )
    .await;
    backend.log.publish("heart");
    tab.wait_for("counts.fillText >= 2").await;
    let large = tab.screenshot().await;
    let large = large.pixels().filter(|p| p[3] > 0).count();
    assert!(large > 5 * drawn.len(), "{large} after {}", drawn.len());
    assert_eq!(tab.complaints(), Vec::<String>::new());
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_sprites_cost_one_call_each_and_no_elements() {
    let backend = Backend::start(&slow_stylesheet());
    let chromium = Chromium::launch().await;
    let tab = chromium
        .open(&backend.url("/overlay/demo"), 1280, 720)
        .await;
    tab.wait_for(LIVE).await;
    tab.evaluate::<bool>(COUNT_DRAWING).await;
    let elements = "document.querySelectorAll('*').length";
    let before: u32 = tab.evaluate(elements).await;

    let mut live = 0;
    // Of the cap's 1,000 places an eighth is for those that fade out.
    for (add, expected, most) in [(300, 300, 300), (200, 500, 500), (4_500, 875, 1_000)] {
        for n in 0..add {
            let names = ["heart", "100", "thumbsup", "mindblown"];
            backend.log.publish(names[n / 100 % names.len()]);
        }
        live += add;
        tab.wait_for(&format!(
            "document.documentElement.dataset.sequence === '{live}'"
        ))
        .await;
        let frames: Vec<(f64, u32, u32)> = tab.evaluate(WATCH_FRAMES).await;
        let total: f64 = frames.iter().map(|f| f.0).sum();
        let mut draw_ms: Vec<f64> = tab.evaluate("draw_ms.slice(-30)").await;
        draw_ms.sort_by(f64::total_cmp);
        eprintln!(
            "{expected} sprites at 1280x720: {:.1} frames a second, {:.2} ms to draw one (median)",
            1000.0 * 30.0 / total,
            draw_ms[draw_ms.len() / 2]
        );
        for (i, (_, drawn, cleared)) in frames.iter().enumerate() {
            assert!((expected..=most).contains(drawn), "frame {i}: {drawn}");
            assert_eq!(*cleared, 1, "frame {i} of {expected}");
        }
    }
    let rasters: (u32, u32) = tab.evaluate("[texts.size, counts.fillText]").await;
    // Once, and anew when the page learns more about its size or the palette.
    assert_eq!(rasters.0, 4, "four emoji");
    assert!(
        rasters.1 <= 12,
        "{rasters:?}: drawn from the font again and again"
    );
    assert_eq!(tab.evaluate::<u32>(elements).await, before);
    assert_eq!(tab.complaints(), Vec::<String>::new());
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overlay_goes_on_where_it_was_when_the_service_comes_back() {
    let slow = slow_stylesheet();
    let backend = Backend::start(&slow);
    let chromium = Chromium::launch().await;
    let tab = chromium.open(&backend.url("/overlay/demo"), 640, 360).await;
    tab.wait_for(LIVE).await;
    tab.evaluate::<bool>(COUNT_DRAWING).await;
    let seen = |n: u32| format!("document.documentElement.dataset.sequence === '{n}'");
    backend.log.publish("heart");
    tab.wait_for(&seen(1)).await;

    let (address, log) = backend.stop().await;
    tab.wait_for("document.documentElement.dataset.state === 'reconnecting'")
        .await;
    log.publish("fire");
    log.publish("clap");
    let backend = Backend::start_at(address, log, &slow);
    tab.wait_for(&seen(3)).await;
    tab.wait_for(LIVE).await;
    let resumed = format!("events demo after Some(\"{PAGE}-1\")");
    let requests = backend.log.requests();
    assert!(requests.contains(&resumed), "{requests:?}");
    for (_, drawn, _) in tab.evaluate::<Vec<(f64, u32, u32)>>(WATCH_FRAMES).await {
        assert_eq!(
            drawn, 3,
            "each is shown, and the one that was sent twice is shown once"
        );
    }
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overlay_begins_anew_after_an_answer_that_is_no_event_stream() {
    let backend = Backend::start(STYLESHEET);
    backend.log.break_events_with(Some(StatusCode::BAD_GATEWAY));
    let chromium = Chromium::launch().await;
    let tab = chromium.open(&backend.url("/overlay/demo"), 640, 360).await;
    tab.wait_for("document.documentElement.dataset.state === 'reconnecting'")
        .await;
    backend.log.break_events_with(None);
    tab.wait_for(LIVE).await;
    backend.log.publish("heart");
    tab.wait_for("document.documentElement.dataset.sequence === '1'")
        .await;
    backend.log.break_events_with(Some(StatusCode::BAD_GATEWAY));
    let (address, log) = backend.stop().await;
    let backend = Backend::start_at(address, log, STYLESHEET);
    let broken = format!("broken events demo after Some(\"{PAGE}-1\")");
    backend.log.requested(&broken).await;
    backend.log.publish("fire");
    backend.log.break_events_with(None);
    tab.wait_for("document.documentElement.dataset.sequence === '2'")
        .await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlay_file_connects_when_the_service_appears() {
    // Takes a port, and gives it back, for a service that is not there yet.
    let (address, log) = Backend::start(STYLESHEET).stop().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("overlay.html");
    let page = pages::standalone_overlay(STYLESHEET, &format!("http://{address}"), "my show");
    std::fs::write(&file, page).unwrap();

    let chromium = Chromium::launch().await;
    let url = format!("file://{}", file.display());
    let tab = chromium.open(&url, 640, 360).await;
    tab.wait_for("document.documentElement.dataset.state === 'reconnecting'")
        .await;
    let backend = Backend::start_at(address, log, STYLESHEET);
    tab.wait_for(LIVE).await;
    backend.log.requested("events my show after None").await;
    tab.evaluate::<bool>(COUNT_DRAWING).await;
    backend.log.publish("mindblown");
    tab.wait_for("counts.drawImage > 0").await;
    let font: bool = tab
        .evaluate("Array.from(document.fonts).some((f) => f.family.includes('Floatup Emoji') && f.status === 'loaded')")
        .await;
    assert!(font, "the font is in the file");
    let drawn = tab.screenshot().await.pixels().filter(|p| p[3] > 0).count();
    assert!((200..1500).contains(&drawn), "{drawn} pixels");
    chromium.close().await;
}

/// Notes the largest width that the canvas is told to draw something in.
const WATCH_SIZES: &str = "(() => {
    window.largest = 0;
    const real = CanvasRenderingContext2D.prototype.drawImage;
    CanvasRenderingContext2D.prototype.drawImage = function (image, x, y, width, ...rest) {
      largest = Math.max(largest, width);
      return real.call(this, image, x, y, width, ...rest);
    };
    return true;
  })()";

#[tokio::test(flavor = "multi_thread")]
async fn the_overlay_knows_reactions_by_the_palette_of_its_service() {
    let css = format!("{} .reaction-fire {{ font-size: 90px }}", slow_stylesheet());
    let (address, log) = Backend::start(&css).stop().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("overlay.html");
    let page = pages::standalone_overlay(&css, &format!("http://{address}"), "demo");
    std::fs::write(&file, page).unwrap();
    let chromium = Chromium::launch().await;
    let url = format!("file://{}", file.display());
    // This one is open before the service is.
    let from_file = chromium.open(&url, 640, 360).await;
    from_file
        .wait_for("document.documentElement.dataset.state === 'reconnecting'")
        .await;
    let backend = Backend::start_at(address, log, &css);
    let served = chromium.open(&backend.url("/overlay/demo"), 640, 360).await;
    for (reaction, shown, largest) in [("heart", "1", 40.0..60.0), ("fire", "2", 110.0..140.0)] {
        for tab in [&from_file, &served] {
            tab.wait_for(LIVE).await;
            tab.evaluate::<bool>(WATCH_SIZES).await;
        }
        backend.log.publish(reaction);
        for tab in [&from_file, &served] {
            tab.wait_for(&format!(
                "document.documentElement.dataset.sequence === '{shown}' && largest >= {}",
                largest.start
            ))
            .await;
            let drawn: f64 = tab.evaluate("largest").await;
            assert!(largest.contains(&drawn), "{reaction}: {drawn}");
        }
    }
    assert_eq!(served.complaints(), Vec::<String>::new());
    chromium.close().await;
}

/// The sprites of this one stay for the whole test.
fn slow_stylesheet() -> String {
    let slow = STYLESHEET.replace("2s linear", "600s linear");
    assert_ne!(slow, STYLESHEET);
    slow
}
