//! The viewer page in a real Chromium.

use axum::http::StatusCode;

use super::backend::Backend;
use super::{COUNT_DRAWING, STYLESHEET};
use crate::chromium::{Chromium, Tab};

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sends_by_mouse_and_keyboard_and_sees_what_arrives() {
    let backend = Backend::start(STYLESHEET);
    let chromium = Chromium::launch().await;
    let tab = chromium
        .open(&backend.url("/?videoId=demo"), 1280, 720)
        .await;
    live_viewer(&tab).await;
    backend.log.requested("GET demo None").await;
    tab.evaluate::<bool>(COUNT_DRAWING).await;

    for name in ["heart", "100", "thumbsup", "mindblown"] {
        tab.click(&format!("button[data-reaction='{name}']")).await;
        backend.log.requested(&format!("POST demo {name}")).await;
    }
    tab.wait_for("counts.fillText >= 4").await;
    // Inside the player, over the backdrop, and no obstacle to the pointer.
    let inside: bool = tab
        .evaluate(
            "(() => {
               const [c, p] = ['#sprites canvas', '#player'].map((s) => document.querySelector(s).getBoundingClientRect());
               const under = document.elementFromPoint(p.left + p.width / 2, p.top + p.height / 2);
               return c.width === p.width && c.height === p.height && !under.closest('#sprites');
             })()",
        )
        .await;
    assert!(inside);

    for key in ["1", "2", "3", "4"] {
        tab.press(key, key).await;
    }
    let names = ["heart", "100", "thumbsup", "mindblown"];
    tab.wait_for("counts.drawImage > 0").await;
    backend.log.published(8).await;
    let sent = backend.log.texts();
    for name in names {
        assert_eq!(
            sent.iter().filter(|t| *t == name).count(),
            2,
            "{name}: {sent:?}"
        );
    }
    // In the address field a digit is a digit.
    tab.click("#video-address").await;
    tab.press("1", "1").await;
    tab.wait_for("document.getElementById('video-address').value === '1'")
        .await;
    assert_eq!(backend.log.texts().len(), 8);

    // The buttons are in the tab order, named, and visibly focused.
    let named: Vec<String> = tab
        .evaluate("Array.from(document.querySelectorAll('#reactions button'), (b) => b.ariaLabel)")
        .await;
    assert_eq!(
        named,
        ["Heart", "Hundred points", "Thumbs up", "Mind blown"]
    );
    tab.evaluate::<bool>("(document.activeElement.blur(), true)")
        .await;
    for _ in 0..8 {
        if tab
            .evaluate::<bool>("document.activeElement.dataset?.reaction === 'heart'")
            .await
        {
            break;
        }
        tab.press("Tab", "").await;
    }
    let outline: String = tab
        .evaluate("getComputedStyle(document.activeElement).outlineStyle")
        .await;
    assert_eq!(outline, "solid");
    tab.press("Enter", "\r").await;
    backend.log.published(9).await;

    backend.log.refuse_with(Some(StatusCode::TOO_MANY_REQUESTS));
    tab.click("button[data-reaction='heart']").await;
    let notice = "document.getElementById('notice').textContent";
    tab.wait_for(&format!(
        "{notice} === 'Your reaction was not sent: not now (429)'"
    ))
    .await;
    backend.log.refuse_with(None);
    tab.click("button[data-reaction='heart']").await;
    tab.wait_for(&format!("{notice} === ''")).await;

    let (address, log) = backend.stop().await;
    tab.wait_for("document.getElementById('status').dataset.state === 'reconnecting'")
        .await;
    let before: u32 = tab.evaluate("counts.fillText").await;
    log.publish("rocket");
    let backend = Backend::start_at(address, log, STYLESHEET);
    live_viewer(&tab).await;
    tab.wait_for(&format!("counts.fillText > {before}")).await;
    assert!(
        backend
            .log
            .requests()
            .contains(&"GET demo Some(\"11\")".into())
    );
    assert_eq!(tab.complaints(), Vec::<String>::new());
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_from_outside_stays_text() {
    let backend = Backend::start(STYLESHEET);
    let chromium = Chromium::launch().await;
    let bad = "<img src=x onerror=alert(1)>";
    let query = "videoId=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&video=javascript%3Aalert(1)";
    let tab = chromium
        .open(&backend.url(&format!("/?{query}")), 1280, 720)
        .await;
    live_viewer(&tab).await;
    backend.log.requested(&format!("GET {bad} None")).await;
    let before: u32 = tab.evaluate("document.querySelectorAll('*').length").await;
    let shown: (String, String, bool, String) = tab
        .evaluate(
            "[stream.textContent, document.title, video.hasAttribute('src'), notice.textContent]",
        )
        .await;
    assert_eq!(shown.0, bad);
    assert_eq!(shown.1, format!("{bad} · floatup"));
    assert!(!shown.2, "a script is no video address");
    assert!(
        shown.3.starts_with("That is no video address"),
        "{}",
        shown.3
    );

    tab.evaluate::<bool>(COUNT_DRAWING).await;
    for text in [
        bad,
        "<script>alert(1)</script>",
        "{\"emoji\":\"<b>\"}",
        "heart",
    ] {
        backend.log.publish(text);
    }
    tab.wait_for("counts.drawImage > 0").await;
    let texts: Vec<String> = tab.evaluate("[...texts]").await;
    assert_eq!(texts, ["❤️"], "the heart alone");
    let after: u32 = tab.evaluate("document.querySelectorAll('*').length").await;
    assert_eq!(after, before);

    for (id, why) in [
        ("a%2Fb", "slash"),
        ("..", "“..”"),
        (&"x".repeat(257), "257 bytes"),
    ] {
        let tab = chromium
            .open(&backend.url(&format!("/?videoId={id}")), 640, 360)
            .await;
        tab.wait_for("document.getElementById('status').dataset.state === 'refused'")
            .await;
        let notice: String = tab
            .evaluate("document.getElementById('notice').textContent")
            .await;
        assert!(notice.contains(why), "{id}: {notice}");
        let enabled = "document.querySelectorAll('#reactions button:enabled').length";
        assert_eq!(tab.evaluate::<u32>(enabled).await, 0, "{id}");
    }
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_viewer_page_fits_a_phone_and_keeps_still_when_asked() {
    let backend = Backend::start(STYLESHEET);
    let chromium = Chromium::launch().await;
    let long = "a-very-long-stream-name-that-goes-on-and-on-and-on-and-on-and-on";
    for (width, height) in [(320, 568), (360, 740), (390, 844), (844, 390), (1280, 720)] {
        let tab = chromium
            .open(&backend.url(&format!("/?videoId={long}")), width, height)
            .await;
        live_viewer(&tab).await;
        let (scroll, smallest): (u32, f64) = tab
            .evaluate(
                "[document.documentElement.scrollWidth,
                  Math.min(...Array.from(document.querySelectorAll('#reactions button'), (b) => {
                    const r = b.getBoundingClientRect();
                    return r.left < 0 || r.right > innerWidth ? 0 : Math.min(r.width, r.height);
                  }))]",
            )
            .await;
        assert_eq!(scroll, width, "{width}x{height} scrolls sideways");
        assert!(
            smallest >= 44.0,
            "{width}x{height}: a button of {smallest} px"
        );
    }
    let tab = chromium.open(&backend.url("/"), 640, 480).await;
    let moving = "document.getElementById('backdrop').getAnimations({ subtree: true }).length";
    assert_eq!(tab.evaluate::<u32>(moving).await, 3);
    tab.reduce_motion().await;
    tab.wait_for(&format!("{moving} === 0")).await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_media_address_is_played_or_explained() {
    let backend = Backend::start(STYLESHEET);
    // The media may be of another site.
    let elsewhere = Backend::start(STYLESHEET);
    let chromium = Chromium::launch().await;
    let tab = chromium
        .open(&backend.url("/?video=/clip.wav"), 1280, 720)
        .await;
    let playing = "!video.hidden && backdrop.hidden && video.readyState >= 2";
    tab.wait_for(playing).await;

    for (address, condition) in [
        (elsewhere.url("/clip.wav"), playing),
        (
            backend.url("/palette.json"),
            "notice.textContent.startsWith('This video can’t be played')",
        ),
        (
            "ftp://127.0.0.1/x".into(),
            "notice.textContent.startsWith('That is no video address')",
        ),
        (
            String::new(),
            "video.hidden && !backdrop.hidden && video.networkState === 0 && notice.textContent === '' && !location.search.includes('video=')",
        ),
    ] {
        let type_it = format!(
            "(document.getElementById('video-address').value = {}, true)",
            serde_json::json!(address)
        );
        tab.evaluate::<bool>(&type_it).await;
        tab.click("#address button").await;
        tab.wait_for(condition).await;
    }
    chromium.close().await;
}

async fn live_viewer(tab: &Tab) {
    tab.wait_for("document.getElementById('status').dataset.state === 'live'")
        .await;
}
