//! The main job: a click in the page, and the same emoji at the same place everywhere.

use std::process::{Command, Stdio};
use std::sync::Arc;

use base64::Engine as _;
use floatup::config::LookSettings;
use floatup::frame::{Alpha, PixelFormat};
use floatup::look::Look;
use floatup::paint::Painter;
use floatup::reaction::Palette;
use floatup::scatter::SpriteId;
use floatup::scene::Scene;
use image::RgbaImage;

use crate::chromium::{Chromium, Tab};
use crate::floatup::{Running, Service, floatup, http, send_signal, until, wait};
use crate::media::decode_rgba;

const WIDTH: u32 = 1280;
const HEIGHT: u32 = 720;
const BUTTONS: [(&str, &str); 4] = [
    ("heart", "❤️"),
    ("100", "💯"),
    ("thumbsup", "👍"),
    ("mindblown", "🤯"),
];

/// The built-in stylesheet's font size.
const FONT_PX: f64 = 30.0;

/// How far apart the same sprite may be in two pictures, in px.
const PLACE_PX: f64 = 2.0;

#[tokio::test(flavor = "multi_thread")]
async fn a_click_floats_the_same_emoji_on_both_pages_in_the_still_and_in_the_frames() {
    let folder = tempfile::tempdir().unwrap();
    let size = format!("{WIDTH}x{HEIGHT}");
    let service = Service::start(folder.path(), &["--size", &size, "--fps", "30"]);

    let movie = folder.path().join("piped.mov");
    let pipe = floatup()
        .args([
            "pipe",
            "--url",
            &service.url(""),
            "--size",
            &size,
            "--fps",
            "30",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = Running(pipe);
    let ffmpeg = Command::new("ffmpeg")
        .args([
            "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgba", "-s", &size, "-r", "30", "-i", "-",
        ])
        .args(["-c:v", "qtrle"])
        .arg(&movie)
        .stdin(pipe.stdout.take().unwrap())
        .spawn()
        .expect("apt-get install ffmpeg");
    let mut ffmpeg = Running(ffmpeg);

    let chromium = Chromium::launch().await;
    let viewer = chromium
        .open(&service.url("/?videoId=demo"), WIDTH, 900)
        .await;
    viewer.reduce_motion().await;
    viewer
        .wait_for("document.querySelector('#status').dataset.state === 'live'")
        .await;
    let overlay = chromium
        .open(&service.url("/overlay/demo"), WIDTH, HEIGHT)
        .await;
    overlay
        .wait_for("document.documentElement.dataset.state === 'live'")
        .await;
    until_two_polls_wait(&service);

    let mut clicked = Vec::new();
    for (name, emoji) in BUTTONS {
        overlay.wait_for(&format!("!({CANVAS_IS_INKED})")).await;
        viewer.click(&format!("[data-reaction='{name}']")).await;
        overlay.wait_for(CANVAS_IS_INKED).await;
        viewer.wait_for(CANVAS_IS_INKED).await;
        let shots = [
            ("still", still(&service)),
            ("overlay", overlay.screenshot().await),
            ("viewer", canvas(&viewer).await),
        ];
        let id = newest_item(&service, name);
        // The canvas may be a pixel larger than the player, whose edges need not be whole ones.
        let player: f64 = viewer
            .evaluate("document.querySelector('#sprites').clientWidth")
            .await;
        for (what, shot) in &shots {
            let width = if *what == "viewer" {
                player
            } else {
                WIDTH.into()
            };
            let flight = Flight::new(emoji, id.left_px(width, FONT_PX), shot.dimensions());
            flight.check(&format!("{name} in the {what}"), shot);
        }
        clicked.push((name, emoji, id.left_px(WIDTH.into(), FONT_PX)));
    }
    assert_eq!(viewer.complaints(), Vec::<String>::new());
    assert_eq!(overlay.complaints(), Vec::<String>::new());
    chromium.close().await;

    send_signal(&pipe, "INT");
    assert!(wait(&mut pipe).success());
    assert!(wait(&mut ffmpeg).success());
    service.stop();
    // Six frames of each 30: a flight has ten of them.
    let decoded = decode_rgba(&movie, &["-vf", "select=not(mod(n\\,6))"]);
    let frame_bytes = (WIDTH * HEIGHT * 4) as usize;
    let mut frames = decoded
        .chunks_exact(frame_bytes)
        .map(|bytes| RgbaImage::from_raw(WIDTH, HEIGHT, bytes.to_vec()).unwrap());
    for (name, emoji, left_px) in clicked {
        let flight = Flight::new(emoji, left_px, (WIDTH, HEIGHT));
        let frame = frames.find(|frame| flight.fit(frame).is_some_and(|fit| fit.is_the_same()));
        let frame = frame.unwrap_or_else(|| panic!("no {name} among the frames"));
        flight.check(&format!("{name} in the frames"), &frame);
    }
}

const CANVAS_IS_INKED: &str = "(() => {
    const canvas = document.querySelector('#sprites canvas');
    if (!canvas || canvas.width === 0) return false;
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return data.some((value) => value > 100);
})()";

/// Waits until the viewer page and the pipe both wait for an item.
fn until_two_polls_wait(service: &Service) {
    until("two polls wait", || {
        let metrics = String::from_utf8(http(&service.address, "GET", "/metrics", b"").1).unwrap();
        let waiting = metrics
            .lines()
            .find_map(|line| line.strip_prefix("floatup_polls_waiting "));
        waiting.is_some_and(|count| count.trim() == "2")
    });
}

/// The last item of the topic, which must be `text`.
fn newest_item(service: &Service, text: &str) -> SpriteId {
    let (status, body) = http(
        &service.address,
        "GET",
        "/topics/video/demo?sequence_number=1",
        b"",
    );
    assert_eq!(status, 200);
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let item = &answer["items"].as_array().unwrap().last().unwrap()["item"];
    assert_eq!(item["value"]["text"], text);
    let number = |key: &str| item[key].as_u64().unwrap();
    SpriteId {
        page: number("sequence_page"),
        sequence: number("topic_sequence_number"),
        index: 0,
    }
}

fn still(service: &Service) -> RgbaImage {
    let (status, png) = http(&service.address, "GET", "/channels/demo/frame.png", b"");
    assert_eq!(status, 200);
    image::load_from_memory(&png).unwrap().into_rgba8()
}

/// What the page's own canvas shows: the page has more in it than sprites.
async fn canvas(tab: &Tab) -> RgbaImage {
    let url: String = tab
        .evaluate("document.querySelector('#sprites canvas').toDataURL()")
        .await;
    let png = url.strip_prefix("data:image/png;base64,").unwrap();
    let png = base64::engine::general_purpose::STANDARD
        .decode(png)
        .unwrap();
    image::load_from_memory(&png).unwrap().into_rgba8()
}

/// One sprite's whole way, as the renderer draws it.
struct Flight {
    emoji: &'static str,
    left_px: f64,
    size: (u32, u32),
    /// Age in ms and where the middle of its ink is then.
    path: Vec<(f64, (f64, f64))>,
}

/// How a picture compares with a flight at the age that its height tells.
struct Fit {
    /// How far its middle is to the right of the flight's.
    off_px: f64,
    /// The emoji of the buttons that it is likest.
    likest: &'static str,
    /// Mean difference of a premultiplied channel from that emoji's, over the inked pixels.
    difference: f64,
    emoji: &'static str,
}

impl Fit {
    fn is_the_same(&self) -> bool {
        self.off_px.abs() <= PLACE_PX / 2.0 && self.likest == self.emoji && self.difference < 12.0
    }
}

impl Flight {
    fn new(emoji: &'static str, left_px: f64, size: (u32, u32)) -> Self {
        let draw = |age| {
            (
                age,
                middle(&draw(emoji, left_px, age, size)).expect("it shows"),
            )
        };
        let path = (0..=38).map(|step| draw(f64::from(step) * 50.0)).collect();
        Self {
            emoji,
            left_px,
            size,
            path,
        }
    }

    /// `None` where the picture is clear, or the sprite is not on its way.
    fn fit(&self, picture: &RgbaImage) -> Option<Fit> {
        let (x, y) = middle(picture)?;
        // The first frame of a flight is as high as the first place of its path.
        let next = self.path.iter().position(|(_, (_, height))| *height <= y)?;
        let (to_age, (to_x, to_y)) = self.path[next.max(1)];
        let (from_age, (from_x, from_y)) = self.path[next.max(1) - 1];
        let share = f64::max((from_y - y) / (from_y - to_y), 0.0);
        let age = from_age + share * (to_age - from_age);
        let differences = BUTTONS.map(|(_, emoji)| {
            (
                emoji,
                difference(picture, &draw(emoji, self.left_px, age, self.size)),
            )
        });
        let (likest, difference) = differences.into_iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(Fit {
            off_px: x - (from_x + share * (to_x - from_x)),
            likest,
            difference,
            emoji: self.emoji,
        })
    }

    fn check(&self, what: &str, picture: &RgbaImage) {
        let fit = self
            .fit(picture)
            .unwrap_or_else(|| panic!("{what}: nothing on its way"));
        let Fit {
            off_px,
            likest,
            difference,
            ..
        } = fit;
        eprintln!("{what}: {off_px:+.2} px off, {difference:.1} levels from {likest}");
        assert!(
            fit.is_the_same(),
            "{what}: {off_px} px off, {difference} levels from {likest}"
        );
    }
}

fn draw(emoji: &str, left_px: f64, age_ms: f64, (width, height): (u32, u32)) -> RgbaImage {
    let scene = serde_json::json!({ "width": width, "height": height,
        "sprites": [{ "emoji": emoji, "left_px": left_px, "age_ms": age_ms }] });
    let scene = Scene::parse(scene.to_string().as_bytes(), None).unwrap();
    let look = Look::load(&LookSettings::default()).unwrap();
    let emoji: Vec<_> = scene.emoji().collect();
    let cast = look.cast(&Palette::default(), emoji, scene.size);
    let cast = cast.unwrap();
    let placements: Vec<_> = scene.placements(&cast).collect();
    let mut painter = Painter::new(Arc::clone(cast.sheet()), scene.size);
    let mut painting = painter.paint(placements);
    let frame = painting.frame(Alpha::Straight, PixelFormat::Rgba);
    RgbaImage::from_raw(width, height, frame.as_bytes().to_vec()).unwrap()
}

/// The middle of a picture's ink, weighted by alpha; `None` where it is clear.
fn middle(picture: &RgbaImage) -> Option<(f64, f64)> {
    let (mut sum, mut weight) = ((0.0, 0.0), 0.0);
    for (x, y, pixel) in picture
        .enumerate_pixels()
        .filter(|(_, _, pixel)| pixel.0[3] > 0)
    {
        let alpha = f64::from(pixel.0[3]);
        sum = (sum.0 + f64::from(x) * alpha, sum.1 + f64::from(y) * alpha);
        weight += alpha;
    }
    (weight > 0.0).then(|| (sum.0 / weight, sum.1 / weight))
}

fn difference(a: &RgbaImage, b: &RgbaImage) -> f64 {
    let premultiplied =
        |[r, g, b, a]: [u8; 4]| [r, g, b, 255].map(|c| f64::from(c) * f64::from(a) / 255.0);
    let inked = a
        .pixels()
        .zip(b.pixels())
        .filter(|(a, b)| a.0[3] > 0 || b.0[3] > 0);
    let (mut sum, mut count) = (0.0, 0.0);
    for (a, b) in inked {
        let pairs = premultiplied(a.0).into_iter().zip(premultiplied(b.0));
        sum += pairs.map(|(a, b)| (a - b).abs()).sum::<f64>();
        count += 4.0;
    }
    sum / f64::max(count, 1.0)
}
