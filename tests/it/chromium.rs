//! A real Chromium for a test: one launch, a new empty profile, ended with the test.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chromiumoxide::browser::{Browser, BrowserConfig};
use chromiumoxide::cdp::browser_protocol::emulation::{
    MediaFeature, SetDeviceMetricsOverrideParams,
};
use chromiumoxide::cdp::browser_protocol::input::{DispatchKeyEventParams, DispatchKeyEventType};
use chromiumoxide::cdp::browser_protocol::page::CaptureScreenshotFormat;
use chromiumoxide::cdp::browser_protocol::target::CreateTargetParams;
use chromiumoxide::cdp::js_protocol::runtime::{
    ConsoleApiCalledType, EvaluateParams, EventConsoleApiCalled, EventExceptionThrown,
};
use chromiumoxide::page::{Page, ScreenshotParams};
use futures_util::StreamExt as _;
use image::RgbaImage;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// A page must get where a test waits for it within this time.
const DEADLINE: Duration = Duration::from_secs(25);

const FLAGS: &[&str] = &[
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "hide-scrollbars",
    "mute-audio",
    "disable-background-timer-throttling",
    "disable-renderer-backgrounding",
    "disable-backgrounding-occluded-windows",
];

/// One running Chromium.
pub(crate) struct Chromium {
    browser: Browser,
    events: JoinHandle<()>,
    profile: TempDir,
}

impl Chromium {
    /// Starts the `chromium` of the `PATH`, or the one that `CHROMIUM` names.
    pub(crate) async fn launch() -> Self {
        Self::launch_with("1").await
    }

    /// The same on a screen with so many device pixels to a CSS px.
    pub(crate) async fn launch_with(device_scale_factor: &str) -> Self {
        let profile = tempfile::tempdir().expect("a folder for the profile");
        let config = FLAGS
            .iter()
            .fold(BrowserConfig::builder(), |config, flag| config.arg(*flag))
            .arg(("force-color-profile", "srgb"))
            .arg(("force-device-scale-factor", device_scale_factor))
            .disable_default_args()
            .chrome_executable(executable())
            .user_data_dir(profile.path())
            .viewport(None)
            .launch_timeout(Duration::from_secs(60))
            .build()
            .expect("a complete configuration");
        let (browser, mut handler) = Browser::launch(config)
            .await
            .unwrap_or_else(|e| panic!("Chromium does not start: {e}"));
        // An event that this client does not know is no fault of the page.
        let events = tokio::spawn(async move { while handler.next().await.is_some() {} });
        Self {
            browser,
            events,
            profile,
        }
    }

    /// Opens `url` in a window of its own, so that it is seen whatever else is open, whose page is `width` x `height` CSS px, and waits for its `load`.
    pub(crate) async fn open(&self, url: &str, width: u32, height: u32) -> Tab {
        let window = CreateTargetParams::builder()
            .url("about:blank")
            .new_window(true)
            .build()
            .unwrap();
        let page = self.browser.new_page(window).await.unwrap();
        let complaints = Arc::new(Mutex::new(Vec::new()));
        collect_complaints(&page, &complaints).await;
        let tab = Tab { page, complaints };
        tab.resize(width, height).await;
        tab.page
            .goto(url)
            .await
            .unwrap_or_else(|e| panic!("{url}: {e}"));
        tab
    }

    /// Ends the browser and waits until it has gone.
    pub(crate) async fn close(mut self) {
        self.browser.close().await.unwrap();
        self.browser.wait().await.unwrap();
        self.events.abort();
        self.profile.close().expect("the profile is removed");
    }
}

/// One tab of it.
pub(crate) struct Tab {
    pub(crate) page: Page,
    complaints: Arc<Mutex<Vec<String>>>,
}

impl Tab {
    /// Evaluates an expression, or a promise of one, in the page.
    pub(crate) async fn evaluate<T: DeserializeOwned>(&self, expression: &str) -> T {
        let params = EvaluateParams::builder()
            .expression(expression)
            .await_promise(true)
            .return_by_value(true)
            .user_gesture(true)
            .build()
            .unwrap();
        self.page
            .evaluate_expression(params)
            .await
            .unwrap_or_else(|e| panic!("{expression}: {e}"))
            .into_value()
            .unwrap_or_else(|e| panic!("{expression}: {e}"))
    }

    /// Waits until an expression is true in the page.
    pub(crate) async fn wait_for(&self, condition: &str) {
        let script = format!(
            "new Promise((resolve) => {{
               const timer = setInterval(() => {{
                 if (!({condition})) return;
                 clearInterval(timer);
                 resolve(true);
               }}, 5);
             }})"
        );
        let waited = tokio::time::timeout(DEADLINE, self.evaluate::<bool>(&script)).await;
        if waited.is_err() {
            let body: String = self.evaluate("document.body.innerText").await;
            let complaints = self.complaints.lock().unwrap().join("\n");
            panic!("never true: {condition}\npage: {body}\nconsole: {complaints}");
        }
    }

    /// The page as it looks, with transparency where the page has no background.
    pub(crate) async fn screenshot(&self) -> RgbaImage {
        let params = ScreenshotParams::builder()
            .format(CaptureScreenshotFormat::Png)
            .omit_background(true)
            .build();
        let png = self.page.screenshot(params).await.unwrap();
        image::load_from_memory(&png).unwrap().to_rgba8()
    }

    /// Clicks the middle of the first element of a selector.
    pub(crate) async fn click(&self, selector: &str) {
        self.page
            .find_element(selector)
            .await
            .unwrap_or_else(|e| panic!("{selector}: {e}"))
            .click()
            .await
            .unwrap_or_else(|e| panic!("{selector}: {e}"));
    }

    /// Presses a key on whatever has the focus; `text` is what it types.
    pub(crate) async fn press(&self, key: &str, text: &str) {
        for kind in [DispatchKeyEventType::KeyDown, DispatchKeyEventType::KeyUp] {
            let mut params = DispatchKeyEventParams::builder()
                .r#type(kind.clone())
                .key(key)
                .code(key);
            if key == "Tab" {
                params = params.windows_virtual_key_code(9);
            } else if key == "Enter" {
                params = params.windows_virtual_key_code(13);
            }
            if !text.is_empty() && kind == DispatchKeyEventType::KeyDown {
                params = params.text(text);
            }
            self.page.execute(params.build().unwrap()).await.unwrap();
        }
    }

    /// Gives the page another size, in CSS px.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        // 0 leaves the screen's own scale factor in place.
        let params = SetDeviceMetricsOverrideParams::new(width, height, 0.0, false);
        self.page.execute(params).await.unwrap();
    }

    /// As for someone who has asked their system for less motion.
    pub(crate) async fn reduce_motion(&self) {
        let reduce = MediaFeature::new("prefers-reduced-motion", "reduce");
        self.page
            .emulate_media_features(vec![reduce])
            .await
            .unwrap();
    }

    /// Everything of the log so far that is worse than information, exceptions included.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }
}

async fn collect_complaints(page: &Page, complaints: &Arc<Mutex<Vec<String>>>) {
    let mut exceptions = page.event_listener::<EventExceptionThrown>().await.unwrap();
    let into = Arc::clone(complaints);
    tokio::spawn(async move {
        while let Some(event) = exceptions.next().await {
            let details = &event.exception_details;
            let what = details
                .exception
                .as_ref()
                .and_then(|e| e.description.clone());
            into.lock()
                .unwrap()
                .push(what.unwrap_or(details.text.clone()));
        }
    });
    let mut calls = page
        .event_listener::<EventConsoleApiCalled>()
        .await
        .unwrap();
    let into = Arc::clone(complaints);
    tokio::spawn(async move {
        while let Some(call) = calls.next().await {
            let bad = [ConsoleApiCalledType::Error, ConsoleApiCalledType::Warning];
            if bad.contains(&call.r#type) {
                let texts = call.args.iter().filter_map(|a| a.description.clone());
                into.lock()
                    .unwrap()
                    .push(texts.collect::<Vec<_>>().join(" "));
            }
        }
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "where Chromium is belongs to the machine, not to floatup's settings"
)]
pub(crate) fn executable() -> PathBuf {
    if let Some(path) = std::env::var_os("CHROMIUM") {
        return path.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    [
        "chromium",
        "chromium-browser",
        "google-chrome-stable",
        "google-chrome",
    ]
    .iter()
    .find_map(|name| {
        folders
            .iter()
            .map(|f| f.join(name))
            .find(|file| file.is_file())
    })
    .expect("no Chromium in PATH: apt-get install chromium, or name one in CHROMIUM")
}
