//! Reactions' own pictures on the page.

use serde_json::json;

use super::backend::Backend;
use super::{STYLESHEET, offer_still_layers};
use crate::chromium::{Chromium, Tab};

/// The colour in the middle of what is drawn of one sprite, at each age, with all colours as
/// red, green, blue and alpha; `null` where nothing is drawn.
const COLOURS: &str = "async ([image, agesMs]) => {
    const { box, layer, goOn } = await stillLayer(innerWidth, innerHeight);
    await layer.usePalette([{ name: 'x', class: 'x', emoji: '❤️', image }], new URL('/', location.href));
    const colours = [];
    const real = CanvasRenderingContext2D.prototype.drawImage;
    for (const ageMs of agesMs) {
      let colour = null;
      layer.spawn({ page: 7, sequence: 1, reactions: [{ emoji: '❤', count: 1 }] }, 1e6 - ageMs);
      CanvasRenderingContext2D.prototype.drawImage = function (drawn, ...place) {
        if (this.canvas.parentNode === box) {
          const { width, height } = drawn;
          colour = [...drawn.getContext('2d').getImageData(width >> 1, height >> 1, 1, 1).data];
        }
        return real.call(this, drawn, ...place);
      };
      layer.draw(1e6);
      CanvasRenderingContext2D.prototype.drawImage = real;
      layer.draw(1e9);
      colours.push(colour);
    }
    goOn();
    box.remove();
    return colours;
  }";

const RED: [u8; 4] = [255, 0, 0, 255];
const NOTHING: [u8; 4] = [0, 0, 0, 0];

/// Frames of 0, 300 and 150 ms, of which the first shows for 100 ms; played twice.
const AGES_MS: [f64; 10] = [
    0.0, 99.0, 101.0, 399.0, 401.0, 549.0, 551.0, 651.0, 1099.0, 1900.0,
];

async fn colours(tab: &Tab, image: &str, ages_ms: &[f64]) -> Vec<Option<[u8; 4]>> {
    offer_still_layers(tab).await;
    let arguments = json!([image, ages_ms]);
    tab.evaluate(&format!("({COLOURS})({arguments})")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_animated_picture_plays_from_the_birth_of_its_sprite() {
    let backend = Backend::start(STYLESHEET);
    let chromium = Chromium::launch().await;
    let tab = chromium.open(&backend.url("/overlay/demo"), 640, 360).await;
    let seen = colours(&tab, "/reactions/animated", &AGES_MS).await;
    let seen: Vec<_> = seen.into_iter().flatten().collect();
    let blue = |colour: &[u8; 4]| {
        assert!(colour[2] > 250 && colour[0] == 0, "{seen:?}");
        assert!((120..136).contains(&colour[3]), "{seen:?}");
    };
    assert_eq!(seen.len(), AGES_MS.len(), "{seen:?}");
    for (i, colour) in seen.iter().enumerate() {
        match i {
            0 | 1 | 6 => assert_eq!(*colour, RED, "{i}: {seen:?}"),
            2 | 3 | 7 => blue(colour),
            _ => assert_eq!(*colour, NOTHING, "{i}: {seen:?}"),
        }
    }

    // A browser without the decoder shows the first frame.
    tab.evaluate::<bool>("delete window.ImageDecoder").await;
    let seen = colours(&tab, "/reactions/animated", &AGES_MS).await;
    assert_eq!(seen, [Some(RED); AGES_MS.len()]);
    assert_eq!(tab.complaints(), Vec::<String>::new());

    // What has no picture is its emoji, and the log says why.
    let seen = colours(&tab, "/reactions/missing", &[0.0]).await;
    let [Some([red, _, blue, 255])] = seen[..] else {
        panic!("{seen:?}");
    };
    assert!(red > 2 * blue, "a heart: {seen:?}");
    let complaints = tab.complaints();
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    chromium.close().await;
}
