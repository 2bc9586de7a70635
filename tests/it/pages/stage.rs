//! Crowds on the page: as many sprites as the renderer shows, and when.

use floatup::stage::shown;
use serde_json::json;

use super::STYLESHEET;
use super::backend::Backend;
use crate::chromium::Chromium;

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_is_the_same_on_the_page_and_comes_on_as_evenly() {
    let backend = Backend::start(STYLESHEET);
    let chromium = Chromium::launch().await;
    let tab = chromium.open(&backend.url("/overlay/demo"), 640, 360).await;

    let counts: Vec<u32> = (0..=1_000).collect();
    let on_page: Vec<u32> = tab
        .evaluate(&format!(
            "import('/assets/stage.js').then(({{ shown }}) => {}.map(shown))",
            json!(counts)
        ))
        .await;
    let expected: Vec<u32> = counts.into_iter().map(shown).collect();
    assert_eq!(on_page, expected);

    // How many are drawn at these times of batches that come at 0 ms and at 200 ms.
    let drawn: Vec<usize> = tab
        .evaluate(
            "import('/assets/sprites.js').then(async ({ SpriteLayer }) => {
               const layer = new SpriteLayer(document.getElementById('sprites'), { spreadMs: 800 });
               await layer.ready;
               const real = CanvasRenderingContext2D.prototype.drawImage;
               let drawn = 0;
               CanvasRenderingContext2D.prototype.drawImage = () => { drawn += 1; };
               const at = (ms) => {
                 drawn = 0;
                 layer.draw(1e6 + ms);
                 return drawn;
               };
               const batch = (sequence, ms) => {
                 const reactions = [{ emoji: '❤️', count: 4 }, { emoji: '🔥', count: 2 }];
                 layer.spawn({ page: 7, sequence, reactions }, 1e6 + ms);
               };
               batch(1, 0);
               const seen = [at(0), at(100), at(200), at(400), at(600)];
               layer.retract({ page: 7, sequences: [1] });
               batch(2, 600);
               batch(3, 800);
               layer.retract({ page: 7, sequences: [2] });
               seen.push(at(800), at(850), at(900), at(950));
               CanvasRenderingContext2D.prototype.drawImage = real;
               return seen;
             })",
        )
        .await;
    assert_eq!(drawn, [2, 2, 3, 5, 6, 2, 3, 5, 6]);
    chromium.close().await;
}
