//! A listing names exactly the objects whose URI begins with the prefix.

use std::collections::BTreeMap;

use writer_core::{Error, ErrorKind, Segment};

use super::context::{Checked, Context, During, ensure, skip};

/// The objects of a listing, and their sizes.
pub(crate) async fn list(
    context: &Context<'_>,
    prefix: &str,
) -> Result<BTreeMap<String, u64>, Error> {
    let mut lister = context.store().list(prefix).await?;
    let mut found = BTreeMap::new();
    let mut listed = 0;
    while let Some(batch) = lister.next_batch().await? {
        listed += batch.len();
        found.extend(batch.into_iter().map(|object| (object.uri, object.size)));
    }
    if listed != found.len() {
        let text = format!(
            "{listed} objects listed, but only {} of them different",
            found.len()
        );
        return Err(Error::new(ErrorKind::Other, text));
    }
    Ok(found)
}

/// The listing of `prefix` holds these and no others.
pub(crate) async fn expect_list(
    context: &Context<'_>,
    prefix: &str,
    expected: &BTreeMap<String, u64>,
) -> Checked {
    let found = list(context, prefix).await.during("list")?;
    let missing: Vec<_> = expected
        .iter()
        .filter(|e| !found.contains_key(e.0))
        .collect();
    let strange: Vec<_> = found
        .iter()
        .filter(|f| !expected.contains_key(f.0))
        .collect();
    ensure!(
        missing.is_empty() && strange.is_empty(),
        "list of {prefix} lacks {missing:?} and has {strange:?} besides"
    );
    ensure!(
        found == *expected,
        "list of {prefix} has wrong sizes: {found:?}"
    );
    Ok(())
}

/// Makes objects of different sizes, and gives what a listing of them all must hold.
async fn make_all(context: &Context<'_>, names: &[&str]) -> Checked<BTreeMap<String, u64>> {
    let mut made = BTreeMap::new();
    for (number, name) in names.iter().enumerate() {
        let uri = context.uri(name);
        context.make(&uri, &context.bytes(number)).await?;
        made.insert(uri, number as u64);
    }
    Ok(made)
}

async fn expect_lists(
    context: &Context<'_>,
    made: &BTreeMap<String, u64>,
    below: &[&str],
) -> Checked {
    for name in below {
        let prefix = format!("{}{name}", context.prefix());
        let expected = made.iter().filter(|(uri, _)| uri.starts_with(&prefix));
        let expected = expected.map(|(uri, size)| (uri.clone(), *size)).collect();
        expect_list(context, &prefix, &expected).await?;
    }
    Ok(())
}

pub(crate) async fn list_finds_every_level(context: &Context<'_>) -> Checked {
    let names = [
        "top",
        "a/one",
        "a/two",
        "a/b/three",
        "a/b/c/d/four",
        "z/y/x/five",
    ];
    let made = make_all(context, &names).await?;
    expect_lists(
        context,
        &made,
        &["", "a/", "a/b/", "a/b/c/d/", "a/b/c/d/four", "z/"],
    )
    .await
}

/// A prefix ends anywhere in a name, and has no wildcards.
pub(crate) async fn list_prefix_is_literal(context: &Context<'_>) -> Checked {
    let names = [
        "ab", "a/b1", "a/b2", "a/bc/d", "a/c", "x*y", "xzy", "[q]", "q", "p%20", "p r",
    ];
    let made = make_all(context, &names).await?;
    let prefixes = [
        "a", "a/", "a/b", "a/b1", "a/bc/", "x*", "x", "[q]", "p%", "p%20", "p ",
    ];
    expect_lists(context, &made, &prefixes).await
}

pub(crate) async fn list_of_nothing(context: &Context<'_>) -> Checked {
    let made = make_all(context, &["there"]).await?;
    expect_lists(context, &made, &["nothing-", "there/", "there-is-more"]).await?;
    // A level that does not exist is an empty prefix to one service, a missing directory to another.
    let nowhere = format!("{}no/such/level/", context.prefix());
    match list(context, &nowhere).await {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        listed => {
            let found = listed.during("list of a level that does not exist")?;
            ensure!(found.is_empty(), "list of {nowhere} has {found:?}");
            Ok(())
        }
    }
}

pub(crate) async fn list_of_many_pages(context: &Context<'_>) -> Checked {
    let Some(page) = context.subject().list_page else {
        skip!("the subject does not say how many objects a page of a listing holds");
    };
    let mut made = BTreeMap::new();
    let mut puts = tokio::task::JoinSet::new();
    for number in 0..=page {
        let uri = context.uri(format_args!("{}/{number}", number % 3));
        made.insert(uri.clone(), (number % 10) as u64);
        let store = context.store().clone();
        let data = Segment::from(vec![7; number % 10]);
        puts.spawn(async move { store.put(&uri, data).await });
        if puts.len() >= 32
            && let Some(put) = puts.join_next().await
        {
            put.during("a task")?.during("put")?;
        }
    }
    while let Some(put) = puts.join_next().await {
        put.during("a task")?.during("put")?;
    }
    expect_list(context, &context.prefix(), &made).await
}
