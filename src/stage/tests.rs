//! What the stage takes on, who gives way, and where each is.

use proptest::prelude::*;

use super::*;
use crate::emoji::EmojiFonts;
use crate::frame::{FrameRate, Size};
use crate::motion::Stylesheet;
use crate::reaction::Emoji;
use crate::sprite::{SpriteSheet, Subject};

const CSS: &str = ".animated-emoji { bottom: 0; font-size: 30px; animation: k 2s linear } \
    @keyframes k { to { bottom: 100%; opacity: 0; transform: rotate(9deg) } }";

const HEART: &str = "❤️";
const FIRE: &str = "🔥";
const PARTY: &str = "🎉";

fn sheet() -> SpriteSheet {
    let emoji = [HEART, FIRE, PARTY].map(Emoji::new);
    let subjects = emoji.iter().zip(["heart", "fire", "party"]);
    let subjects = subjects.map(|(emoji, name)| Subject {
        emoji,
        reaction: Some(name),
        font_size_px: 30.0,
        growth: 1.0,
        artwork: None,
    });
    SpriteSheet::new(&EmojiFonts::bundled(), subjects).unwrap()
}

fn limits(sprites_max: usize, overflow: Overflow) -> Limits {
    Limits {
        sprites_max,
        overflow,
        ..Limits::default()
    }
}

fn stage(sprites_max: usize, overflow: Overflow) -> Stage {
    stage_of(CSS, limits(sprites_max, overflow))
}

fn stage_of(css: &str, limits: Limits) -> Stage {
    let size = Size::new(640, 360).unwrap();
    let stylesheet = Stylesheet::parse(css).unwrap();
    let cast = Cast::new(stylesheet.into(), sheet().into(), size, 1.0);
    Stage::new(cast, limits)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn some(emoji: &str, count: u32) -> [Reaction; 1] {
    let emoji = Emoji::new(emoji);
    [Reaction { emoji, count }]
}

/// An item of page 1 that asks for so many of an emoji.
fn spawn(stage: &mut Stage, sequence: u64, emoji: &str, count: u32, at: Duration) {
    spawn_of(stage, None, (1, sequence), &some(emoji, count), at);
}

fn spawn_of(
    stage: &mut Stage,
    publisher: Option<&str>,
    (page, sequence): (u64, u64),
    reactions: &[Reaction],
    at: Duration,
) {
    stage.spawn(&Entrance {
        page,
        sequence,
        publisher: publisher.map(Publisher::named),
        reactions,
        at,
    });
}

fn placed(stage: &Stage, pts: Duration) -> Vec<Placement> {
    stage.placements(pts).collect()
}

/// How many of each emoji show: hearts, fires, parties.
fn kinds(stage: &Stage, pts: Duration) -> [usize; 3] {
    let placed = placed(stage, pts);
    [0, 1, 2].map(|layer| placed.iter().filter(|p| p.layer == layer).count())
}

#[test]
fn every_sprite_is_gone_after_its_lifetime_and_absent_before_its_time() {
    let mut stage = stage(10, Overflow::RetireOldest);
    spawn(&mut stage, 1, HEART, 2, ms(1_000));
    assert_eq!(placed(&stage, ms(999)), []);
    assert_eq!(placed(&stage, ms(1_000)).len(), 2);
    assert_eq!(placed(&stage, ms(2_999)).len(), 2);
    assert_eq!(placed(&stage, ms(3_000)), []);
    stage.retire(ms(3_000));
    assert!(stage.is_empty());
    let shown = Tally {
        shown: 2,
        ..Tally::default()
    };
    assert_eq!(stage.take_tally(), shown);
    assert_eq!(stage.take_tally(), Tally::default());
}

#[test]
fn the_cap_holds_and_the_policy_says_who_goes() {
    for (overflow, hearts, parties) in [
        (Overflow::RetireOldest, 1, 2),
        (Overflow::DropNewest, 2, 1),
        (Overflow::Aggregate, 2, 1),
        (Overflow::Queue, 3, 0),
    ] {
        let mut stage = stage(3, overflow);
        spawn(&mut stage, 1, HEART, 3, ms(0));
        spawn(&mut stage, 2, PARTY, 1, ms(0));
        spawn(&mut stage, 3, PARTY, 1, ms(0));
        // So small a stage has no places for those that fade out.
        assert_eq!(kinds(&stage, ms(0)), [hearts, 0, parties], "{overflow}");
        assert_eq!(stage.len(), 3);
    }
}

#[test]
fn who_gives_way_fades_out() {
    let mut stage = stage(8, Overflow::RetireOldest);
    spawn(&mut stage, 1, HEART, 7, ms(0));
    assert_eq!(placed(&stage, ms(1_000)).len(), 7);
    spawn(&mut stage, 2, HEART, 1, ms(1_000));
    let opacity = |at| placed(&stage, at)[0].opacity;
    // Half of its flight is behind it.
    assert!((opacity(ms(1_000)) - 0.5).abs() < 1e-3);
    assert!((opacity(ms(1_100)) - 0.45 * 0.5).abs() < 1e-3);
    assert_eq!(placed(&stage, ms(1_199)).len(), 8);
    assert_eq!(placed(&stage, ms(1_200)).len(), 7);
    // Of two that fade out, one has no place any more: the one that is nearest to its end.
    spawn(&mut stage, 3, HEART, 1, ms(1_100));
    assert_eq!(placed(&stage, ms(1_100)).len(), 8);
    assert!((placed(&stage, ms(1_100))[0].opacity - 0.45).abs() < 1e-3);
    let tally = stage.take_tally();
    assert_eq!((tally.shown, tally.retired), (9, 2));
}

#[test]
fn no_emoji_hides_the_others() {
    for overflow in [Overflow::RetireOldest, Overflow::DropNewest] {
        let mut stage = stage(80, overflow);
        let others = [(FIRE, 5), (PARTY, 20)];
        for (sequence, (emoji, count)) in (1..).zip(others) {
            for n in 0..count {
                spawn(&mut stage, 100 * sequence + n, emoji, 1, ms(0));
            }
        }
        for sequence in 0..1_000 {
            spawn(&mut stage, 1_000 + sequence, HEART, 1, ms(1));
        }
        stage.retire(ms(1_000));
        assert_eq!(kinds(&stage, ms(1_000)), [45, 5, 20], "{overflow}");
        // And who comes to a stage that is full of another has room.
        for sequence in 0..30 {
            spawn(&mut stage, 5_000 + sequence, FIRE, 1, ms(1_000));
        }
        stage.retire(ms(1_300));
        let [hearts, fires, parties] = kinds(&stage, ms(1_300));
        assert_eq!(hearts + fires + parties, 70, "{overflow}");
        assert!(
            fires >= 23 && parties == 20,
            "{overflow}: {fires}, {parties}"
        );
    }
}

#[test]
fn no_publisher_hides_the_others() {
    for overflow in [Overflow::RetireOldest, Overflow::DropNewest] {
        let mut stage = stage(80, overflow);
        for n in 0..10 {
            spawn_of(&mut stage, Some("ann"), (1, n), &some(HEART, 1), ms(0));
            spawn_of(&mut stage, None, (2, n), &some(HEART, 1), ms(0));
        }
        for (n, emoji) in (0..1_000).zip([HEART, FIRE, PARTY].into_iter().cycle()) {
            spawn_of(&mut stage, Some("bob"), (3, n), &some(emoji, 1), ms(1));
        }
        stage.retire(ms(500));
        let of = |page| stage.sprites.iter().filter(|s| s.item.0 == page).count();
        assert_eq!([1, 2, 3].map(of), [10, 10, 50], "{overflow}");
    }
}

#[test]
fn what_is_too_much_is_in_the_number_beside_another() {
    let mut stage = stage(4, Overflow::Aggregate);
    for sequence in 1..=40 {
        spawn(&mut stage, sequence, HEART, 1, ms(sequence));
    }
    spawn(&mut stage, 50, FIRE, 1, ms(50));
    spawn(&mut stage, 51, FIRE, 1, ms(51));
    spawn(&mut stage, 52, FIRE, 1, ms(52));
    let numbers: Vec<_> = stage.sprites.iter().map(|s| s.stands_for).collect();
    assert_eq!(numbers, [1, 1, 37, 3]);
    let expected = Tally {
        shown: 5,
        retired: 1,
        aggregated: 38,
        ..Tally::default()
    };
    assert_eq!(stage.take_tally(), expected);
    // The next one has a number of its own, which can be read for longer.
    spawn(&mut stage, 60, HEART, 1, ms(504));
    spawn(&mut stage, 61, HEART, 1, ms(505));
    let numbers: Vec<_> = stage.sprites.iter().map(|s| s.stands_for).collect();
    assert_eq!(numbers, [1, 37, 3, 2]);
}

#[test]
fn the_number_is_written_over_the_corner_of_its_sprite_and_goes_with_it() {
    let mut stage = stage(1, Overflow::Aggregate);
    for sequence in 1..=37 {
        spawn(&mut stage, sequence, HEART, 1, ms(0));
    }
    let at = |stage: &Stage, pts| {
        let placed = placed(stage, pts);
        let [heart, seven, three, times] = placed[..] else {
            panic!("{placed:?}")
        };
        let place = |p: Placement| (f64::from(p.x) + p.matrix[4], f64::from(p.y) + p.matrix[5]);
        assert!(
            [seven, three, times]
                .iter()
                .all(|p| (p.opacity - heart.opacity).abs() < 1e-9)
        );
        let (x, y) = place(seven);
        let (heart_x, heart_y) = place(heart);
        (x - place(three).0, x - heart_x, y - heart_y)
    };
    let (step, right, down) = at(&stage, ms(0));
    assert!((11.0..12.0).contains(&step), "{step}");
    assert!((27.0..33.0).contains(&right), "{right}");
    assert!((17.0..22.0).contains(&down), "{down}");
    let (turned, ..) = at(&stage, ms(1_000));
    assert!(
        turned < step && turned > step - 0.1,
        "it is turned: {turned}"
    );
}

#[test]
fn a_quiet_stage_shows_a_row_of_counts() {
    let mut stage = stage(100, Overflow::RetireOldest);
    spawn(&mut stage, 1, HEART, 5, ms(0));
    stage.set_limits(
        Limits {
            quiet: true,
            ..limits(100, Overflow::RetireOldest)
        },
        ms(100),
    );
    spawn(&mut stage, 2, FIRE, 41, ms(200));
    spawn(&mut stage, 3, HEART, 7, ms(300));
    // What was on stage fades out.
    assert_eq!(kinds(&stage, ms(200)), [5, 0, 0]);
    stage.retire(ms(499));
    assert_eq!(placed(&stage, ms(499)), []);
    let row = placed(&stage, ms(500));
    assert_eq!(kinds(&stage, ms(500)), [1, 1, 0]);
    assert_eq!(row.len(), 2 + "×7".chars().count() + "×41".chars().count());
    // Upright, at the bottom, from left to right, around the middle.
    let left = |p: &Placement| p.matrix[4];
    assert!(
        row.iter()
            .all(|p| p.matrix[1] == 0.0 && p.x == 0 && p.y == 0)
    );
    assert!(left(&row[0]) < 300.0 && left(&row[3]) >= 319.0);
    assert!((300.0..342.0).contains(&row[0].matrix[5]), "{row:?}");
    assert_eq!(placed(&stage, ms(900)), row, "nothing moves");
    let tally = stage.take_tally();
    assert_eq!((tally.shown, tally.on_bar, tally.retired), (5, 48, 5));
    stage.retire(ms(10_499));
    assert!(!stage.is_empty());
    stage.retire(ms(10_500));
    assert!(stage.is_empty());
}

#[test]
fn who_waits_comes_on_when_another_goes_and_not_for_ever() {
    let mut stage = stage_of(
        CSS,
        Limits {
            queue_max: 3,
            queue_age: ms(2_500),
            ..limits(2, Overflow::Queue)
        },
    );
    spawn(&mut stage, 1, HEART, 1, ms(0));
    spawn(&mut stage, 2, HEART, 1, ms(700));
    for sequence in 3..=6 {
        spawn(&mut stage, sequence, FIRE, 1, ms(800));
    }
    assert_eq!((stage.len(), stage.waiting()), (2, 3));
    assert_eq!(stage.take_tally().queue_full, 1);
    // The first heart ends at 2,000, the second at 2,700; no frame is drawn in between.
    stage.retire(ms(3_000));
    assert_eq!((stage.len(), stage.waiting()), (2, 1));
    let begun: Vec<_> = stage.sprites.iter().map(|s| s.spawned_at).collect();
    assert_eq!(begun, [ms(2_000), ms(2_700)]);
    // The last one would have room at 4,000, when it has waited for too long.
    stage.retire(ms(4_000));
    assert_eq!((stage.len(), stage.waiting()), (1, 0));
    let tally = stage.take_tally();
    assert_eq!((tally.shown, tally.queue_stale), (2, 1));
}

#[test]
fn of_a_full_queue_whoever_has_most_gives_way() {
    let mut stage = stage_of(
        CSS,
        Limits {
            queue_max: 4,
            ..limits(1, Overflow::Queue)
        },
    );
    spawn(&mut stage, 1, HEART, 1, ms(0));
    for sequence in 2..20 {
        spawn(&mut stage, sequence, HEART, 1, ms(1));
    }
    spawn(&mut stage, 20, FIRE, 1, ms(2));
    let waiting: Vec<_> = stage.waiting.iter().map(|w| w.sprite.item.1).collect();
    assert_eq!(waiting, [2, 3, 4, 20]);
}

#[test]
fn boxes_cover_no_more_of_the_frame_than_is_set() {
    let one = {
        let stage = stage(10, Overflow::DropNewest);
        let id = SpriteId {
            page: 1,
            sequence: 1,
            index: 0,
        };
        let actor = stage.cast.actor(&Emoji::new(HEART), id).unwrap();
        stage.cast.area_px(&actor) / stage.cast.frame_area_px()
    };
    assert!((0.005..0.006).contains(&one), "{one}");
    for (overflow, covered, expected) in [
        (Overflow::DropNewest, 3.5 * one, 3),
        (Overflow::RetireOldest, 3.5 * one, 3),
        // One shows in any case.
        (Overflow::RetireOldest, 0.5 * one, 1),
    ] {
        let mut stage = stage_of(
            CSS,
            Limits {
                coverage_max: Some(covered),
                ..limits(1_000, overflow)
            },
        );
        for sequence in 0..9 {
            spawn(&mut stage, sequence, HEART, 1, ms(sequence));
        }
        stage.retire(ms(500));
        assert_eq!(placed(&stage, ms(500)).len(), expected, "{overflow}");
    }
}

#[test]
fn a_batch_comes_on_over_its_interval() {
    let mut stage = stage_of(
        CSS,
        Limits {
            spread: ms(1_000),
            ..Limits::default()
        },
    );
    let batch = |hearts, fires| {
        let [heart] = some(HEART, hearts);
        let [fire] = some(FIRE, fires);
        [heart, fire]
    };
    spawn_of(&mut stage, None, (1, 1), &batch(4, 2), ms(0));
    let begun = |stage: &Stage, page| {
        let of = stage.sprites.iter().filter(|s| s.item.0 == page);
        of.map(|s| s.spawned_at.as_millis()).collect::<Vec<_>>()
    };
    assert_eq!(begun(&stage, 1), [0, 250, 500, 750, 0, 500]);
    assert_eq!(kinds(&stage, ms(0)), [1, 1, 0]);
    assert_eq!(kinds(&stage, ms(500)), [3, 2, 0]);
    // The next is 200 ms later, and so will be the one after it, as far as can be told.
    spawn_of(&mut stage, None, (2, 1), &batch(4, 1), ms(200));
    assert_eq!(begun(&stage, 2), [200, 250, 300, 350, 200]);
    // One by itself is no batch, and is seen at once.
    spawn(&mut stage, 9, PARTY, 1, ms(210));
    assert_eq!(kinds(&stage, ms(210))[2], 1);
}

#[test]
fn of_a_crowd_some_are_shown_and_all_are_counted() {
    let mut stage = stage(100, Overflow::DropNewest);
    spawn(&mut stage, 1, HEART, 100, ms(0));
    assert_eq!(stage.len(), 33);
    let tally = stage.take_tally();
    assert_eq!((tally.shown, tally.condensed), (33, 67));
}

#[test]
fn other_limits_hold_at_once() {
    let mut stage = stage(16, Overflow::Queue);
    for sequence in 0..20 {
        spawn(&mut stage, sequence, HEART, 1, ms(0));
    }
    assert_eq!((stage.len(), stage.waiting()), (14, 6));
    stage.set_limits(limits(8, Overflow::DropNewest), ms(100));
    assert_eq!((stage.len(), stage.waiting()), (8, 0));
    stage.retire(ms(400));
    assert_eq!(stage.len(), 7);
    let tally = stage.take_tally();
    assert_eq!((tally.retired, tally.queue_full), (7, 6));
    stage.set_limits(limits(100, Overflow::DropNewest), ms(500));
    spawn(&mut stage, 50, HEART, 10, ms(500));
    assert_eq!(stage.len(), 17);
}

#[test]
fn one_item_scatters_its_sprites_and_two_items_differ() {
    let mut stage = stage(100, Overflow::RetireOldest);
    let reactions = [some(HEART, 10), some(FIRE, 10)].concat();
    spawn_of(&mut stage, None, (7, 1), &reactions, ms(0));
    spawn_of(&mut stage, None, (7, 2), &reactions, ms(0));
    let mut columns: Vec<_> = placed(&stage, ms(0)).iter().map(|p| p.x).collect();
    assert!(columns.iter().all(|x| (0..=610).contains(x)));
    columns.sort_unstable();
    columns.dedup();
    assert!(columns.len() > 35, "almost all differ: {columns:?}");
}

#[test]
fn what_is_taken_back_leaves_the_stage_and_nothing_else_does() {
    let mut stage = stage(100, Overflow::RetireOldest);
    for sequence in 1..=4 {
        spawn_of(&mut stage, None, (7, sequence), &some(HEART, 2), ms(0));
    }
    spawn_of(&mut stage, None, (8, 2), &some(HEART, 2), ms(0));
    let kept = placed(&stage, ms(10));
    let items = |page, sequence| page == 7 && [2, 3, 9].contains(&sequence);
    assert_eq!(stage.retract(items), 4);
    let left = placed(&stage, ms(10));
    assert_eq!(left, [&kept[..2], &kept[6..]].concat());
    assert_eq!(stage.retract(items), 0);
    assert_eq!(stage.clear(), 6);
    assert!(stage.is_empty());
}

#[test]
fn what_is_taken_back_does_not_wait_for_room_either() {
    let mut stage = stage(1, Overflow::Queue);
    for sequence in 1..=4 {
        spawn(&mut stage, sequence, HEART, 1, ms(0));
    }
    assert_eq!(stage.retract(|_, sequence| sequence < 3), 2);
    assert_eq!((stage.len(), stage.waiting()), (0, 2));
    stage.retire(ms(5));
    assert_eq!((stage.len(), stage.waiting()), (1, 1));
}

#[test]
fn each_reaction_lives_as_long_as_its_class_says() {
    let css = format!("{CSS} .reaction-fire {{ animation-duration: 500ms }}");
    let mut stage = stage_of(&css, limits(10, Overflow::RetireOldest));
    spawn(&mut stage, 1, HEART, 1, ms(0));
    spawn(&mut stage, 2, FIRE, 1, ms(0));
    assert_eq!(placed(&stage, ms(499)).len(), 2);
    assert_eq!(placed(&stage, ms(500)).len(), 1);
    stage.retire(ms(500));
    assert_eq!(stage.len(), 1, "the heart came before the fire");
}

#[test]
fn each_sprite_has_its_own_value_of_a_variable() {
    let css = format!(
        "{CSS} .animated-emoji {{ transform: rotate(var(--turn)); --turn-range: \"-90deg..90deg\" }} \
        @keyframes k {{ to {{ bottom: 100% }} }}"
    );
    let mut stage = stage_of(&css, limits(100, Overflow::RetireOldest));
    for sequence in 1..=50 {
        spawn(&mut stage, sequence, HEART, 1, ms(0));
    }
    let mut matrices: Vec<_> = placed(&stage, ms(100)).iter().map(|p| p.matrix).collect();
    matrices.sort_by(|a, b| a[1].total_cmp(&b[1]));
    matrices.dedup();
    assert!((20..=50).contains(&matrices.len()), "{}", matrices.len());
    assert_eq!(placed(&stage, ms(100)), placed(&stage, ms(100)));
}

/// What happens to a stage: after so many milliseconds, so many of an emoji by a publisher.
type Event = (u64, u32, usize, u8);

fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec((0_u64..400, 1_u32..60, 0..3_usize, 0_u8..4), 1..60)
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let overflow = prop::sample::select(&Overflow::ALL[..]);
    let coverage = prop::option::of(0.01..0.5_f64);
    (
        1..60_usize,
        overflow,
        1..20_usize,
        100_u64..4_000,
        coverage,
        0_u64..1_500,
    )
        .prop_map(
            |(sprites_max, overflow, queue_max, queue_age, coverage_max, spread)| Limits {
                sprites_max,
                overflow,
                queue_max,
                queue_age: ms(queue_age),
                coverage_max,
                spread: ms(spread),
                ..Limits::default()
            },
        )
}

/// Plays events on a stage, with a frame every `step` ms, and looks at each frame.
fn play(stage: &mut Stage, events: &[Event], step: u64, mut see: impl FnMut(&mut Stage, Duration)) {
    let (mut now, mut frame) = (0, 0);
    for (sequence, &(after, count, emoji, publisher)) in (1..).zip(events) {
        now += after;
        while frame <= now {
            stage.retire(ms(frame));
            see(stage, ms(frame));
            frame += step;
        }
        let emoji = [HEART, FIRE, PARTY][emoji];
        let publisher = (publisher > 0).then(|| format!("p{publisher}"));
        let publisher = publisher.as_deref();
        spawn_of(
            stage,
            publisher,
            (1, sequence),
            &some(emoji, count),
            ms(now),
        );
    }
    for _ in 0..12_000 / step {
        stage.retire(ms(frame));
        see(stage, ms(frame));
        frame += step;
    }
}

proptest! {
    #[test]
    fn placements_are_a_function_of_time_alone(
        spawns in prop::collection::vec((0_u64..5_000, 1_u32..4), 0..20),
        asked in prop::collection::vec(0_u64..7_000, 0..10),
        at in 0_u64..7_000,
    ) {
        let mut spawns = spawns;
        spawns.sort_unstable();
        let (mut fresh, mut used) = (stage(1_000, Overflow::RetireOldest), stage(1_000, Overflow::RetireOldest));
        for (n, (t, count)) in (1..).zip(&spawns) {
            for stage in [&mut fresh, &mut used] {
                spawn(stage, n, HEART, *count, ms(*t));
            }
        }
        for t in asked {
            placed(&used, ms(t));
        }
        prop_assert_eq!(placed(&fresh, ms(at)), placed(&used, ms(at)));
    }

    #[test]
    fn no_bound_is_passed_and_nothing_is_lost_from_the_tally(
        limits in any_limits(),
        events in events(),
    ) {
        let mut stage = stage_of(CSS, limits);
        let mut total = Tally::default();
        play(&mut stage, &events, 40, |stage, now| {
            assert!(stage.len() <= limits.sprites_max);
            assert!(kinds(stage, now).iter().sum::<usize>() <= limits.sprites_max);
            let most = if limits.overflow == Overflow::Queue { limits.queue_max } else { 0 };
            assert!(stage.waiting() <= most);
            let covered: f64 = stage.places.area_px / stage.cast.frame_area_px();
            let one = stage.places.shares.total() <= 1;
            assert!(one || limits.coverage_max.is_none_or(|most| covered <= most + 1e-9));
            let tally = stage.take_tally();
            total.shown += tally.shown;
            total.condensed += tally.condensed;
            total.dropped += tally.dropped;
            total.aggregated += tally.aggregated;
            total.queue_full += tally.queue_full;
            total.queue_stale += tally.queue_stale;
        });
        prop_assert!(stage.is_empty(), "every sprite ends");
        prop_assert_eq!(stage.places.shares.total(), 0);
        let asked: u64 = events.iter().map(|event| u64::from(event.1)).sum();
        let Tally { shown, condensed, dropped, aggregated, queue_full, queue_stale, .. } = total;
        prop_assert_eq!(shown + condensed + dropped + aggregated + queue_full + queue_stale, asked);
    }

    #[test]
    fn frames_are_the_same_however_many_there_are(limits in any_limits(), events in events()) {
        let seen = |step: u64| {
            let mut seen = Vec::new();
            play(&mut stage_of(CSS, limits), &events, step, |stage, now| {
                if now.as_millis() % 100 == 0 {
                    seen.push(placed(stage, now));
                }
            });
            seen
        };
        let (slow, fast) = (seen(100), seen(20));
        let most = slow.len().min(fast.len());
        prop_assert_eq!(&slow[..most], &fast[..most]);
    }

    #[test]
    fn frame_rates_agree_where_they_meet(spawned in 0_u64..2_000_000, index in 0_u64..200) {
        let mut stage = stage(10, Overflow::RetireOldest);
        spawn(&mut stage, 1, HEART, 1, Duration::from_micros(spawned));
        let (slow, fast) = (FrameRate::new(30, 1).unwrap(), FrameRate::new(60, 1).unwrap());
        prop_assert_eq!(slow.pts(index), fast.pts(2 * index));
        prop_assert_eq!(placed(&stage, slow.pts(index)), placed(&stage, fast.pts(2 * index)));
    }
}
