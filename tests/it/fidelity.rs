//! The renderer held against a real Chromium: whole pictures, and the stylesheet's curves.

mod computed;
mod curves;
mod random;
mod stills;

use std::net::SocketAddr;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use floatup::look::STYLESHEET;
use floatup::reaction::Palette;
use floatup::server::{Channels, pages};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::chromium::Tab;

/// A container and the service's own stylesheet and font.
const STILL_PAGE: &str = r#"<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>still</title>
<link rel="icon" href="data:,">
<style>
  html, body { margin: 0; overflow: hidden; background: transparent; }
  #frame { position: relative; }
</style>
<link rel="stylesheet" href="/assets/overlay.css">
<div id="frame"></div>
</html>"#;

/// A container with the font alone: each case brings its own rule for sprites.
const CURVE_PAGE: &str = r#"<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>curves</title>
<link rel="icon" href="data:,">
<style>
  @font-face { font-family: "Floatup Emoji"; src: url("/assets/fonts/NotoColorEmoji-floatup.ttf"); }
  html, body { margin: 0; overflow: hidden; }
  #frame { position: relative; font-family: "Floatup Emoji"; }
</style>
<div id="frame"></div>
</html>"#;

/// A server of the pages above and of the assets that the service's own pages load.
struct Site {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Site {
    async fn start() -> Self {
        let router = Router::new()
            .route("/still", get(Html(STILL_PAGE)))
            .route("/curve", get(Html(CURVE_PAGE)))
            .merge(pages::router(
                STYLESHEET.into(),
                Palette::default().into(),
                &Channels::new(),
            ));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, task }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The browser's own version number.
async fn version(tab: &Tab) -> String {
    tab.evaluate(
        "navigator.userAgentData.getHighEntropyValues(['fullVersionList'])
           .then(({ fullVersionList }) => fullVersionList.find((b) => b.brand === 'Chromium').version)",
    )
    .await
}

/// Waits for the bundled font, without which a page shows another one's glyphs.
async fn load_font(tab: &Tab) {
    let loaded: usize = tab
        .evaluate(
            "document.fonts.load('30px \"Floatup Emoji\"', '❤').then((faces) => faces.length)",
        )
        .await;
    assert_eq!(loaded, 1, "{:?}", tab.complaints());
}
