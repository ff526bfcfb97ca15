//! The suite, tried out: the memory store passes it, and stores broken on purpose do not.

#[path = "conformance_self/blank.rs"]
mod blank;
#[path = "conformance_self/broken.rs"]
mod broken;

mod memory {
    use std::sync::Arc;

    use testkit::MemoryStore;
    use testkit::conformance::{self, Subject};

    async fn subject() -> Subject {
        let store = Arc::new(MemoryStore::new());
        let (staged, arrived) = (store.clone(), store.clone());
        Subject::new(store, "memory://suite/", 64 * 1024)
            .with_list_page(100)
            .with_leftovers(move || std::future::ready(staged.staged()))
            .with_arrived(move |uri| std::future::ready(arrived.arrived(uri)))
    }

    testkit::conformance_tests!(subject);

    #[tokio::test(flavor = "multi_thread")]
    async fn everything_in_one_go() {
        let report = conformance::run(&subject().await).await;
        assert_eq!(report.passed.len(), conformance::checks().len(), "{report}");
    }
}

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use broken::{BrokenStore, Fault};
use testkit::conformance::{self, Check, Outcome, Profile, Subject};

/// Every fault, and checks that find it.
#[rustfmt::skip]
const FOUND_BY: &[(Fault, &[&str])] = &[
    (Fault::DropsTail, &["chunk_whole", "chunk_random", "chunk_bytewise", "chunk_huge",
        "owned_whole", "owned_part_by_part", "owned_unaligned", "owned_tiny", "owned_huge",
        "owners_of_any_kind", "reserved_pages", "file_whole", "mixed_sources", "many_tasks"]),
    (Fault::SwapsParts, &["chunk_whole", "chunk_random", "chunk_huge", "owned_whole",
        "owned_part_by_part", "owned_unaligned", "owned_tiny", "owned_huge", "owners_of_any_kind",
        "reserved_pages", "file_whole", "file_ranges_out_of_order", "mixed_sources"]),
    (Fault::DropsLongChunks, &["chunk_whole", "chunk_huge", "chunk_random"]),
    (Fault::DropsSingleBytes, &["chunk_bytewise"]),
    (Fault::DropsOwnedParts, &["owned_part_by_part"]),
    (Fault::DropsOwnedTiny, &["owned_tiny"]),
    (Fault::DropsOwnedLong, &["owned_whole", "owned_huge"]),
    (Fault::DropsStatics, &["owners_of_any_kind"]),
    (Fault::OwnedOvertakesChunks, &["mixed_sources"]),
    (Fault::AddsToEmptyWrites, &["empty_writes_change_nothing"]),
    (Fault::Miscounts, &["chunk_whole", "owned_tiny", "file_whole"]),
    (Fault::RefusesEmpty, &["chunk_whole", "owned_whole", "replaced_whole", "reserved_pages"]),
    (Fault::LosesFiles, &["file_whole", "file_ranges_out_of_order", "file_cursor_is_nobodys",
        "file_with_holes", "mixed_sources"]),
    (Fault::ReadsFilesFromStart, &["file_ranges_out_of_order"]),
    (Fault::MovesTheCursor, &["file_cursor_is_nobodys"]),
    (Fault::SkipsHoles, &["file_with_holes"]),
    (Fault::PadsShortFiles, &["short_file_leaves_nothing"]),
    (Fault::ShortPages, &["reserve_keeps_its_word"]),
    (Fault::ForgetsPages, &["reserved_pages", "reserve_keeps_its_word"]),
    (Fault::OverlaysOld, &["replaced_whole"]),
    (Fault::SharesStaging, &["writers_of_one_object"]),
    (Fault::Compresses, &["compression_off_is_literal"]),
    (Fault::LosesLastOfOneInFlight, &["options_do_not_change_content"]),
    (Fault::PublishesEarly, &["visible_only_after_finish", "cancel_leaves_nothing",
        "drop_leaves_nothing", "dropped_cancel_leaves_nothing"]),
    (Fault::HoldsBackUntilFinish, &["full_parts_leave_while_idle"]),
    (Fault::TornFinish, &["dropped_finish_is_all_or_nothing"]),
    (Fault::IgnoresExpectedSize, &["more_than_expected_is_refused",
        "less_than_expected_is_refused", "failed_finish_leaves_nothing", "errors_latch"]),
    (Fault::ForgetsErrors, &["errors_latch"]),
    (Fault::ForgetsInterruption, &["dropped_chunk_write_interrupts"]),
    (Fault::CountsNothingTaken, &["dropped_chunk_write_interrupts"]),
    (Fault::LateOwned, &["dropped_owned_write_counts"]),
    (Fault::LeaksOnDrop, &["drop_leaves_nothing"]),
    (Fault::LeaksOnCancel, &["cancel_leaves_nothing"]),
    (Fault::LeaksOnDroppedCancel, &["dropped_cancel_leaves_nothing"]),
    (Fault::LeaksOnDroppedCreate, &["dropped_create_leaves_nothing"]),
    (Fault::LeaksOnFailedFinish, &["failed_finish_leaves_nothing", "create_only_refuses",
        "less_than_expected_is_refused", "more_than_expected_is_refused",
        "short_file_leaves_nothing", "replace_if_changed_is_refused",
        "replace_if_missing_is_refused", "expected_checksum_is_kept"]),
    (Fault::CancelPublishes, &["cancel_leaves_nothing"]),
    (Fault::IgnoresCreateOnly, &["create_only_refuses", "create_only_race"]),
    (Fault::IgnoresCreateOnlyOfParts, &["create_only_refuses", "create_only_race"]),
    (Fault::ChecksCreateOnlyEarly, &["create_only_race"]),
    (Fault::SaysAdvisory, &["create_only_refuses", "receipt_matches_stat"]),
    (Fault::ForgetsCondition, &["create_only_refuses", "replace_if_unchanged"]),
    (Fault::IgnoresIfMatch, &["replace_if_changed_is_refused", "replace_if_missing_is_refused",
        "replace_if_unchanged_race"]),
    (Fault::ChecksIfMatchEarly, &["replace_if_changed_is_refused", "replace_if_unchanged_race"]),
    (Fault::ReplacesMissing, &["replace_if_missing_is_refused"]),
    (Fault::NeverMatches, &["replace_if_unchanged", "replace_if_unchanged_race"]),
    (Fault::IgnoresExpectedChecksum, &["expected_checksum_is_kept"]),
    (Fault::RefusesAnyChecksum, &["expected_checksum_is_kept"]),
    (Fault::ChecksAfterwards, &["expected_checksum_is_kept"]),
    (Fault::DropsMetadata, &["content_type_is_kept", "content_encoding_is_kept",
        "user_metadata_is_kept", "tags_are_kept_or_refused", "storage_class_is_kept_or_refused"]),
    (Fault::DropsHeaders, &["headers_are_kept"]),
    (Fault::DropsLanguage, &["headers_are_kept"]),
    (Fault::DropsTagValues, &["tags_are_kept_or_refused"]),
    (Fault::TakesAnyOptions, &["invalid_options_are_refused"]),
    (Fault::TakesAnyUri, &["foreign_uris_are_refused"]),
    (Fault::RefusesNoOptions, &["environment_is_the_default"]),
    (Fault::DecodesNames, &["names_are_literal", "list_prefix_is_literal"]),
    (Fault::NoChecksum, &["chunk_whole"]),
    (Fault::WrongChecksum, &["chunk_whole", "receipt_matches_stat"]),
    (Fault::WrongUri, &["chunk_whole", "receipt_matches_stat"]),
    (Fault::QuotedETag, &["receipt_matches_stat"]),
    (Fault::KeepsOldChecksum, &["replaced_whole", "visible_only_after_finish"]),
    (Fault::TellsNobody, &["observer_is_told", "observer_is_told_of_the_end"]),
    (Fault::CountsNothing, &["receipt_counts"]),
    (Fault::FindsMissing, &["missing_is_not_found", "delete_removes"]),
    (Fault::EndIsInclusive, &["ranges"]),
    (Fault::RefusesLongSuffixes, &["ranges"]),
    (Fault::ClampsRanges, &["ranges_past_the_end"]),
    (Fault::DeleteNeedsObject, &["delete_removes"]),
    (Fault::PutKeepsOld, &["put_buffered"]),
    (Fault::ListsOneLevel, &["list_finds_every_level"]),
    (Fault::ListsDirectories, &["list_prefix_is_literal", "list_of_nothing"]),
    (Fault::EmptyListIsError, &["list_of_nothing"]),
    (Fault::ListsFirstPage, &["list_of_many_pages"]),
    (Fault::CloseEndsWriters, &["close_spares_open_writers"]),
    (Fault::FewSlots, &["one_task_many_writers"]),
    (Fault::FewWriters, &["many_tasks", "one_task_many_writers"]),
    (Fault::BoundToTask, &["writers_move_between_tasks"]),
    (Fault::Panics, &["compression_off_is_literal"]),
];

fn subject(fault: Fault) -> Subject {
    let store = Arc::new(BrokenStore::new(fault));
    let (staged, arrived) = (store.inner.clone(), store.inner.clone());
    // The fault of FewSlots is a dead-lock, and HoldsBackUntilFinish is waited for.
    Subject::new(store, "memory://suite/", 4 * 1024)
        .with_patience(Duration::from_secs(4))
        .with_list_page(100)
        .with_leftovers(move || std::future::ready(staged.staged()))
        .with_arrived(move |uri| std::future::ready(arrived.arrived(uri)))
}

fn check(name: &str) -> Check {
    let found = conformance::checks().iter().find(|c| c.name() == name);
    *found.unwrap_or_else(|| panic!("no check {name}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_is_found_where_it_should_be() {
    let mut passed = Vec::new();
    for (fault, names) in FOUND_BY {
        for name in *names {
            let outcome = check(name).attempt(&subject(*fault)).await;
            if !matches!(outcome, Outcome::Failed(_)) {
                passed.push(format!("{fault:?}: {name}: {outcome:?}"));
            }
        }
    }
    assert!(passed.is_empty(), "not found: {passed:#?}");
}

/// No check is there that can't fail.
#[test]
fn every_check_finds_a_fault() {
    let finding: BTreeSet<_> = FOUND_BY.iter().flat_map(|(_, names)| *names).collect();
    let idle: Vec<_> = conformance::checks()
        .iter()
        .filter(|check| !finding.contains(&check.name()))
        .collect();
    assert!(idle.is_empty(), "{idle:?}");
}

/// What a profile says that a service can't do is not asked of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_profile_skips_what_it_leaves_out() {
    let profile = Profile::default()
        .with_create_only(false)
        .with_if_match(false)
        .with_user_metadata(false)
        .with_content_type(false)
        .with_headers(false)
        .with_tags(false)
        .with_storage_class(false)
        .with_checksum(false);
    for (fault, names) in [
        (
            Fault::IgnoresCreateOnly,
            &["create_only_refuses", "create_only_race"][..],
        ),
        (
            Fault::IgnoresIfMatch,
            &[
                "replace_if_unchanged",
                "replace_if_changed_is_refused",
                "replace_if_missing_is_refused",
                "replace_if_unchanged_race",
            ],
        ),
        (
            Fault::DropsMetadata,
            &[
                "content_type_is_kept",
                "content_encoding_is_kept",
                "user_metadata_is_kept",
                "tags_are_kept_or_refused",
                "storage_class_is_kept_or_refused",
            ],
        ),
        (Fault::DropsHeaders, &["headers_are_kept"]),
    ] {
        for name in names {
            let outcome = check(name)
                .attempt(&subject(fault).with_profile(profile))
                .await;
            assert!(
                matches!(outcome, Outcome::Skipped(_)),
                "{name}: {outcome:?}"
            );
        }
    }
    let of_parts = Profile::default().with_conditional_parts(false);
    for name in ["create_only_refuses", "create_only_race"] {
        let ignored = subject(Fault::IgnoresCreateOnlyOfParts).with_profile(of_parts);
        assert_eq!(check(name).attempt(&ignored).await, Outcome::Passed);
        let all_ignored = subject(Fault::IgnoresCreateOnly).with_profile(of_parts);
        let outcome = check(name).attempt(&all_ignored).await;
        assert!(matches!(outcome, Outcome::Failed(_)), "{name}: {outcome:?}");
    }
    let full = Profile::default();
    for (fault, profile, name) in [
        (Fault::NoChecksum, profile, "chunk_whole"),
        (
            Fault::RefusesLongSuffixes,
            full.with_long_suffixes(false),
            "ranges",
        ),
        (
            Fault::KeepsOldChecksum,
            full.with_fresh_checksums(false),
            "visible_only_after_finish",
        ),
    ] {
        let spared = subject(fault).with_profile(profile);
        assert_eq!(check(name).attempt(&spared).await, Outcome::Passed);
    }
    for (fault, profile, name) in [
        (
            Fault::ChecksCreateOnlyEarly,
            full.with_atomic_conditions(false),
            "create_only_race",
        ),
        (
            Fault::KeepsOldChecksum,
            full.with_fresh_checksums(false),
            "replaced_whole",
        ),
    ] {
        let spared = subject(fault).with_profile(profile);
        let outcome = check(name).attempt(&spared).await;
        assert!(
            matches!(outcome, Outcome::Skipped(_)),
            "{name}: {outcome:?}"
        );
    }
}
