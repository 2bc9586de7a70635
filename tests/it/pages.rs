//! The pages: what is served, and what a real Chromium makes of it.

mod backend;
mod motion;
mod overlay;
mod pictures;
mod poses;
mod ranges;
mod stage;
mod viewer;

use std::sync::Arc;

use ab_glyph::{Font as _, FontRef};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use floatup::reaction::{DEFAULT_PALETTE, Palette};
use floatup::server::{Channel, Channels, pages};
use floatup::topic::TopicName;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::chromium::Tab;

const STYLESHEET: &str = include_str!("../../assets/overlay.css");
const FONT: &[u8] = include_bytes!("../../assets/fonts/NotoColorEmoji-floatup.ttf");
const FONT_TEXT: &str = include_str!("../../assets/fonts/palette.txt");

/// Counts what the page's canvas is told to do, and lists where each sprite is put.
const COUNT_DRAWING: &str = "(() => {
    window.counts = { drawImage: 0, clearRect: 0, fillText: 0 };
    window.texts = new Set();
    for (const name of Object.keys(counts)) {
      const real = CanvasRenderingContext2D.prototype[name];
      CanvasRenderingContext2D.prototype[name] = function (...args) {
        counts[name]++;
        if (name === 'fillText') texts.add(args[0]);
        return real.apply(this, args);
      };
    }
    window.realFrame = window.requestAnimationFrame;
    window.frames_asked = 0;
    window.draw_ms = [];
    window.requestAnimationFrame = (f) => {
      frames_asked++;
      return realFrame.call(window, (at) => {
        const from = performance.now();
        f(at);
        draw_ms.push(performance.now() - from);
      });
    };
    return true;
  })()";

/// Gives the page a function that makes a layer in a box of its own, which has seen its size in
/// device pixels, and draws only when it is told to.
async fn offer_still_layers(tab: &Tab) {
    let offered: bool = tab
        .evaluate(
            "(() => {
               window.stillLayer = async (width, height) => {
                 const { SpriteLayer } = await import('/assets/sprites.js');
                 document.getElementById('box')?.remove();
                 const box = document.createElement('div');
                 box.id = 'box';
                 box.style = `position: absolute; left: 0; top: 0; width: ${width}px; height: ${height}px; overflow: hidden`;
                 document.body.append(box);
                 const frame = window.requestAnimationFrame;
                 window.requestAnimationFrame = () => 0;
                 const layer = new SpriteLayer(box);
                 await layer.ready;
                 const twoFrames = () => new Promise((r) => frame(() => frame(r)));
                 await twoFrames();
                 const goOn = () => { window.requestAnimationFrame = frame; };
                 return { box, layer, twoFrames, goOn };
               };
               return true;
             })()",
        )
        .await;
    assert!(offered);
}

async fn get(path: &str, if_none_match: Option<&str>) -> (Response<()>, Vec<u8>) {
    let mut request = Request::get(path);
    if let Some(tag) = if_none_match {
        request = request.header(header::IF_NONE_MATCH, tag);
    }
    let router = pages::router(
        STYLESHEET.into(),
        Arc::new(Palette::default()),
        &Channels::new(),
    );
    let response = router
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    (Response::from_parts(parts, ()), body.to_vec())
}

#[tokio::test]
async fn everything_is_served_as_what_it_is() {
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/overlay/demo", "text/html; charset=utf-8"),
        ("/assets/overlay.css", "text/css; charset=utf-8"),
        ("/assets/viewer.css", "text/css; charset=utf-8"),
        ("/assets/sprites.js", "text/javascript; charset=utf-8"),
        ("/assets/motion.js", "text/javascript; charset=utf-8"),
        ("/assets/raster.js", "text/javascript; charset=utf-8"),
        ("/assets/rules.js", "text/javascript; charset=utf-8"),
        ("/assets/stage.js", "text/javascript; charset=utf-8"),
        ("/assets/signs.js", "text/javascript; charset=utf-8"),
        ("/assets/control.js", "text/javascript; charset=utf-8"),
        ("/assets/control.css", "text/css; charset=utf-8"),
        ("/control", "text/html; charset=utf-8"),
        ("/assets/palette.js", "text/javascript; charset=utf-8"),
        ("/assets/chat.js", "text/javascript; charset=utf-8"),
        ("/assets/topic.js", "text/javascript; charset=utf-8"),
        ("/assets/overlay.js", "text/javascript; charset=utf-8"),
        ("/assets/viewer.js", "text/javascript; charset=utf-8"),
        ("/assets/fonts/NotoColorEmoji-floatup.ttf", "font/ttf"),
        ("/assets/fonts/OFL.txt", "text/plain; charset=utf-8"),
        ("/palette.json", "application/json"),
    ] {
        let (response, body) = get(path, None).await;
        let headers = response.headers();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert!(!body.is_empty(), "{path}");
        assert_eq!(headers[header::CONTENT_TYPE], kind, "{path}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer", "{path}");
        assert_eq!(headers[header::CACHE_CONTROL], "no-cache", "{path}");
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none';"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe-eval"), "{path}: {policy}");
        // An overlay that is opened as a file reads it.
        let any = headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        assert_eq!(any.is_some(), path == "/palette.json", "{path}");

        let tag = headers[header::ETAG].to_str().unwrap();
        let (again, body) = get(path, Some(&format!("\"other\", W/{tag}"))).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path}");
        assert!(body.is_empty(), "{path}");
    }
    assert_eq!(
        get("/assets/../Cargo.toml", None).await.0.status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn serves_the_stylesheet_and_palette_that_it_is_given() {
    let palette = Palette::new([("b", "🔥"), ("A, a", "❤️")]).unwrap();
    let router = pages::router("/* mine */".into(), Arc::new(palette), &Channels::new());
    assert_eq!(body(&router, "/assets/overlay.css").await, "/* mine */");
    let palette: Value = serde_json::from_str(&body(&router, "/palette.json").await).unwrap();
    assert_eq!(
        palette,
        serde_json::json!([
            {"name": "b", "emoji": "🔥", "class": "b"},
            {"name": "A, a", "emoji": "❤️", "class": "aa"}
        ])
    );
}

#[tokio::test]
async fn a_channels_pages_have_its_own_stylesheet() {
    let channel = |cache: &str, topic: &str, css: &str| Channel {
        topic: TopicName::new(cache, topic).unwrap(),
        sources: Vec::new(),
        outputs: Vec::new(),
        stalled: Box::new(|| None),
        guard: crate::in_process::guard(),
        controls: Box::new(crate::in_process::NoStage),
        stylesheet: css.into(),
        still: Box::new(|| Ok(Vec::new())),
        feed: Box::new(|_| Err("this channel has no frames".into())),
    };
    let channels = Channels::from([
        ("main".into(), channel("video", "live", "/* main */")),
        ("b & \">b".into(), channel("video", "b?", "/* b */")),
        ("other".into(), channel("elsewhere", "live", "/* other */")),
        ("z".into(), channel("video", "demo", "/* z */")),
    ]);
    let router = pages::router("/* rest */".into(), Palette::default().into(), &channels);
    for (page, link, css) in [
        ("/overlay/main", "overlay.css?channel=main\"", "/* main */"),
        (
            "/overlay/b%20%26%20%22%3Eb",
            "overlay.css?channel=b%20%26%20%22%3Eb\"",
            "/* b */",
        ),
        (
            "/overlay/other",
            "overlay.css?channel=other\"",
            "/* other */",
        ),
        ("/overlay/live", "overlay.css\"", "/* rest */"),
        // Without a video it is the topic demo.
        ("/", "overlay.css?channel=z\"", "/* z */"),
        ("/?videoId=", "overlay.css?channel=z\"", "/* z */"),
        ("/?videoId=main", "overlay.css\"", "/* rest */"),
        // Two parameters, or one that is no text, are none.
        (
            "/?videoId=live&videoId=live",
            "overlay.css?channel=z\"",
            "/* z */",
        ),
        ("/?videoId=%ff", "overlay.css?channel=z\"", "/* z */"),
        (
            "/?video=x&videoId=live",
            "overlay.css?channel=main\"",
            "/* main */",
        ),
        (
            "/?videoId=b%3F",
            "overlay.css?channel=b%20%26%20%22%3Eb\"",
            "/* b */",
        ),
    ] {
        let html = body(&router, page).await;
        let (_, rest) = html.split_once("assets/").expect(page);
        assert!(rest.starts_with(link), "{page}: {}", &rest[..60]);
        let (path, _) = rest.split_once('"').expect(page);
        assert_eq!(
            body(&router, &format!("/assets/{path}")).await,
            css,
            "{page}"
        );
    }
}

async fn body(router: &Router, path: &str) -> String {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    let bytes = axum::body::to_bytes(answer.into_body(), 65_536).await;
    String::from_utf8(bytes.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn refuses_channel_names_that_can_not_be() {
    let longest = "a".repeat(256);
    for good in ["demo", "a.b", "caf%C3%A9", "%24%7Bx%7D", &longest] {
        let (response, _) = get(&format!("/overlay/{good}"), None).await;
        assert_eq!(response.status(), StatusCode::OK, "{good}");
    }
    for (bad, why) in [
        (
            "a%2Fb",
            "topic name \"a/b\": expected 1 to 256 bytes without '/'",
        ),
        ("a%5Cb", "expected"),
        ("a%00b", "expected"),
        ("a%0Ab", "expected"),
        ("%2E", "and neither '.' nor '..'"),
        ("..", "expected"),
        (&"a".repeat(257), "expected 1 to 256 bytes"),
        ("%FF", "UTF-8"),
    ] {
        let (response, body) = get(&format!("/overlay/{bad}"), None).await;
        let text = String::from_utf8(body).unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{bad}: {text}");
        assert!(text.contains(why), "{bad}: {text}");
    }
}

#[test]
fn the_bundled_font_has_every_emoji_of_the_palette() {
    let font = FontRef::try_from_slice(FONT).unwrap();
    for (name, emoji) in DEFAULT_PALETTE {
        assert!(
            FONT_TEXT.lines().any(|line| line == *emoji),
            "{name}: palette.txt"
        );
        let shown: Vec<_> = emoji.chars().filter(|&c| c != '\u{fe0f}').collect();
        assert_eq!(shown.len(), 1, "{name}: a sequence needs the font's GSUB");
        let glyph = font.glyph_id(shown[0]);
        assert_ne!(glyph.0, 0, "{name}: {emoji} is not in the font");
        let bitmap = font.glyph_raster_image2(glyph, u16::MAX);
        assert_eq!(
            bitmap.map(|b| b.pixels_per_em),
            Some(109),
            "{name}: {emoji}"
        );
    }
    assert_eq!(font.units_per_em(), Some(2048.0));
    assert_eq!(
        (
            font.ascent_unscaled(),
            font.descent_unscaled(),
            font.line_gap_unscaled()
        ),
        (1900.0, -500.0, 0.0)
    );
    assert!(FONT.len() < 400_000, "{} bytes", FONT.len());
}
