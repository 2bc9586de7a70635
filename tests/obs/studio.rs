//! A real OBS Studio on a screen that nobody sees, and what it shows.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{Rgb, Rgba, RgbaImage};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::blend::Blend;
use crate::configuration::{self, BACKGROUND, MEDIA, NAME, PORT, SIZE};
use crate::floatup::{Running, until};
use crate::screen::Screen;
use crate::websocket::Client;

/// A picture that is expected must be shown within this time.
const DEADLINE: Duration = Duration::from_secs(20);

/// The colour that the screen has between two things that are shown; no test expects it.
const CURTAIN: Rgba<u8> = Rgba([8, 16, 8, 255]);

/// So much of OBS's own log is told when a test fails.
const LOG_LINES: usize = 40;

/// A running OBS whose scenes have one Media Source over a plain background.
pub(crate) struct Obs {
    client: Client,
    /// Of scenes.
    size: (u32, u32),
    background: Rgb<u8>,
    // Dropped in this order: OBS ends before its screen, and both before their folder.
    _process: Running,
    _screen: Screen,
    folder: TempDir,
}

impl Obs {
    /// Starts the `obs` of the `PATH`, as if nobody had ever used it, and waits until it takes
    /// requests. Its obs-websocket listens on every interface: see [`crate::isolation`].
    pub(crate) fn start() -> Self {
        Self::start_with(SIZE, None)
    }

    /// The same, with scenes of this size, and perhaps one more scene collection to choose from.
    pub(crate) fn start_with(size: (u32, u32), collection: Option<&Path>) -> Self {
        let folder = tempfile::tempdir().expect("a folder for OBS");
        let path = |name: &str| folder.path().join(name);
        for name in ["config", "home", "run"] {
            fs::create_dir(path(name)).expect("a new folder");
        }
        configuration::write(&path("config"), size);
        if let Some(collection) = collection {
            let scenes = path("config").join("obs-studio/basic/scenes");
            fs::copy(collection, scenes.join("imported.json")).expect("a scene collection");
        }
        let curtain = RgbaImage::from_pixel(size.0, size.1, CURTAIN);
        curtain.save(path("curtain.png")).expect("a picture");
        let screen = Screen::start(&folder.path().join("xvfb.log"));
        let log = File::create(path("obs.log")).expect("a log");
        let mut command = Command::new("obs");
        command
            .args(["--multi", "--disable-updater", "--disable-shutdown-check"])
            .args(["--disable-missing-files-check", "--verbose"])
            .args(["--collection", NAME, "--profile", NAME])
            // Nothing of the person's desktop that starts the test.
            .env_clear()
            .env("LANG", "C.UTF-8")
            .env("DISPLAY", screen.display())
            .env("QT_QPA_PLATFORM", "xcb")
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .env("GALLIUM_DRIVER", "llvmpipe")
            .env("XDG_CONFIG_HOME", path("config"))
            .env("HOME", path("home"))
            .env("XDG_RUNTIME_DIR", path("run"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("one log for both"))
            .stderr(log);
        #[expect(
            clippy::disallowed_methods,
            reason = "where programs are is no setting"
        )]
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        let process = command
            .spawn()
            .unwrap_or_else(|e| panic!("obs: {e}: apt-get install obs-studio"));
        let mut process = Running(process);
        let client = connect(&mut process, &path("obs.log"));
        let mut obs = Self {
            client,
            size,
            background: Rgb([0; 3]),
            _process: process,
            _screen: screen,
            folder,
        };
        obs.set_background(Rgb([255, 0, 255]));
        obs
    }

    /// Has the Media Source loop a file.
    pub(crate) fn show_file(&mut self, file: &Path) {
        self.show(&json!({"is_local_file": true, "local_file": file, "looping": true}));
    }

    /// Gives the Media Source settings, all others at their defaults; a stream's begin with
    /// `"is_local_file": false, "input": URL`.
    ///
    /// By then the screen shows something else: a source that can't open what it is given keeps
    /// its last picture, and one that can shows that once more when it begins; it may be just the
    /// expected one. Says how long it took until then.
    #[expect(clippy::disallowed_methods, reason = "how long it took")]
    pub(crate) fn show(&mut self, settings: &Json) -> Duration {
        let curtain = self.folder.path().join("curtain.png");
        let begun = Instant::now();
        self.set_media(&json!({"is_local_file": true, "local_file": curtain,
                               "clear_on_media_end": false}));
        self.wait_for("a curtain", Blend::Default, |picture| {
            let open = picture.pixels().filter(|pixel| **pixel != CURTAIN).count();
            if open == 0 {
                Ok(())
            } else {
                Err(format!("{open} pixels are others"))
            }
        });
        let took = begun.elapsed();
        self.set_media(settings);
        took
    }

    fn set_media(&mut self, settings: &Json) {
        let data = json!({"inputName": MEDIA, "inputSettings": settings, "overlay": false});
        self.request("SetInputSettings", data);
    }

    /// Another plain colour behind the media.
    pub(crate) fn set_background(&mut self, color: Rgb<u8>) {
        let [red, green, blue] = color.0.map(u32::from);
        let color_setting = 0xff00_0000 | blue << 16 | green << 8 | red;
        self.request(
            "SetInputSettings",
            json!({"inputName": BACKGROUND, "inputSettings": {"color": color_setting}}),
        );
        self.background = color;
    }

    pub(crate) fn background(&self) -> Rgb<u8> {
        self.background
    }

    /// Opens another scene collection, by its name.
    pub(crate) fn open_collection(&mut self, name: &str) {
        let data = json!({"sceneCollectionName": name});
        self.request("SetCurrentSceneCollection", data);
    }

    /// The scene as it looks now.
    pub(crate) fn screenshot(&mut self, blend: Blend) -> RgbaImage {
        self.screenshot_of(blend.scene(), self.size)
    }

    fn screenshot_of(&mut self, scene: &str, size: (u32, u32)) -> RgbaImage {
        let data = json!({"sourceName": scene, "imageFormat": "png",
                          "imageWidth": size.0, "imageHeight": size.1});
        let answer = self.request("GetSourceScreenshot", data);
        let url = answer["imageData"].as_str().expect("a data URL");
        let (_, base64) = url.split_once(',').expect("a data URL");
        let png = STANDARD.decode(base64).expect("base64");
        let picture = image::load_from_memory(&png).expect("a PNG").into_rgba8();
        assert_eq!(picture.dimensions(), size);
        picture
    }

    /// Takes screenshots until one is right, up to the deadline, and says how long that took, in
    /// steps of a screenshot. A test that fails leaves the last one.
    pub(crate) fn wait_for(
        &mut self,
        what: &str,
        blend: Blend,
        is_right: impl FnMut(&RgbaImage) -> Result<(), String>,
    ) -> Duration {
        self.wait_for_scene(what, blend.scene(), self.size, is_right)
    }

    /// The same of a scene by its name, in screenshots of this size: small ones take less time.
    #[expect(
        clippy::disallowed_methods,
        reason = "a deadline, and how long it took; screenshots are what paces the wait"
    )]
    pub(crate) fn wait_for_scene(
        &mut self,
        what: &str,
        scene: &str,
        size: (u32, u32),
        mut is_right: impl FnMut(&RgbaImage) -> Result<(), String>,
    ) -> Duration {
        let begun = Instant::now();
        loop {
            let picture = self.screenshot_of(scene, size);
            let after = begun.elapsed();
            let Err(wrong) = is_right(&picture) else {
                return after;
            };
            if after > DEADLINE {
                let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("obs-screenshot.png");
                picture.save(&kept).expect("the target folder is there");
                panic!(
                    "OBS does not show {what} within {DEADLINE:?}: {wrong}; its last screenshot is {}",
                    kept.display()
                );
            }
        }
    }

    fn request(&mut self, kind: &str, data: Json) -> Json {
        let answer = self.client.request(kind, data);
        answer.unwrap_or_else(|refusal| panic!("{refusal}"))
    }
}

impl Drop for Obs {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", end_of_log(&self.folder.path().join("obs.log")));
        }
    }
}

/// Waits until OBS answers, and has loaded its scenes.
fn connect(process: &mut Running, log: &Path) -> Client {
    let mut client = None;
    until("OBS has its scenes", || {
        if let Some(status) = process.try_wait().expect("it is ours") {
            panic!("OBS has ended, {status}:\n{}", end_of_log(log));
        }
        if client.is_none() {
            client = Client::connect(PORT);
        }
        // Refused, or empty, while OBS still starts.
        let scenes = client
            .as_mut()
            .map(|c| c.request("GetSceneList", json!({})));
        matches!(scenes, Some(Ok(answer)) if answer["currentProgramSceneName"] == Blend::Default.scene())
    });
    client.expect("it has answered")
}

fn end_of_log(path: &Path) -> String {
    let log = fs::read(path).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}
