//! The conditions under which something goes, as texts of SQL, so that one can be part of another.
//!
//! In each statement that has them stand for:
//!
//! | | |
//! | --- | --- |
//! | `$1` | how many versions are kept |
//! | `$2` | manifests and links go that were pushed before |
//! | `$3` | blobs go that were used before |
//! | `$4` | upload sessions go that were touched before |
//! | `$5` | deleted repositories go that were deleted then or before |
//! | `$6` | in dry runs: the destinations in use, as a JSON array |
//! | `$7`, … | what else the statement needs |

/// Binds `$1` to `$5`.
macro_rules! ruled {
    ($rules:expr, $query:expr) => {
        $query
            .bind($rules.kept_versions())
            .bind($rules.pushed_before.0)
            .bind($rules.used_before.0)
            .bind($rules.touched_before.0)
            .bind($rules.deleted_before.0)
    };
}

/// The number (or another column) of the oldest version of a repository that stays because it is one of the newest.
macro_rules! cut {
    ($column:literal, $repository:literal) => {
        concat!(
            "coalesce((SELECT n.",
            $column,
            " FROM versions n WHERE n.repository_id = ",
            $repository,
            " ORDER BY n.number DESC LIMIT 1 OFFSET $1 - 1), 0)"
        )
    };
}

/// Version `v` of the catalog is dropped.
macro_rules! version_goes {
    () => {
        concat!(
            "v.number < ",
            cut!("number", "v.repository_id"),
            " AND NOT EXISTS (SELECT 1 FROM published l
                WHERE l.repository_id = v.repository_id AND l.version = v.number)"
        )
    };
}

/// Row `c` of `content_in` is in a version that stays.
macro_rules! in_a_version {
    () => {
        concat!(
            "(c.removed IS NULL
              OR EXISTS (SELECT 1 FROM versions v WHERE v.repository_id = c.repository_id
                  AND v.number >= max(c.added, ",
            cut!("number", "c.repository_id"),
            ") AND v.number < c.removed)
              OR EXISTS (SELECT 1 FROM published l WHERE l.repository_id = c.repository_id
                  AND l.version >= c.added AND l.version < c.removed))"
        )
    };
}

/// The backend's number of the newest version that the catalog has of a destination: what is newer may be recorded yet.
macro_rules! recorded {
    ($destination:literal) => {
        concat!(
            "coalesce((SELECT n.backend_version FROM versions n WHERE n.repository_id = ",
            $destination,
            " ORDER BY n.number DESC LIMIT 1), 0)"
        )
    };
}

/// Row `c` of `embedded_content` is in a version that stays, or that may be recorded yet.
macro_rules! in_a_backend_version {
    () => {
        concat!(
            "(c.removed IS NULL OR c.removed > ",
            recorded!("c.destination_id"),
            "
              OR EXISTS (SELECT 1 FROM versions v WHERE v.repository_id = c.destination_id
                  AND v.backend_version >= max(c.added, ",
            cut!("backend_version", "c.destination_id"),
            ")
                  AND v.backend_version < c.removed)
              OR EXISTS (SELECT 1 FROM published l
                  JOIN versions v ON v.repository_id = l.repository_id AND v.number = l.version
                  WHERE l.repository_id = c.destination_id
                  AND v.backend_version >= c.added AND v.backend_version < c.removed))"
        )
    };
}

/// Row `c` of `embedded_versions` goes: no version of the catalog that stays was made of it, it is not one of the newest, and its plan
/// has ended.
macro_rules! backend_version_goes {
    () => {
        concat!(
            "c.number < ", recorded!("c.destination_id"), "
             AND NOT EXISTS (SELECT 1 FROM versions v
                 WHERE v.repository_id = c.destination_id AND v.backend_version = c.number
                   AND NOT (", version_goes!(), "))
             AND NOT EXISTS (SELECT 1 FROM plan x WHERE x.id = c.plan_id AND x.state <> 'stopped')"
        )
    };
}

/// Row `p` of `pushed_manifests` goes, where its destination is not in use: it is in no version, neither pending nor part of what is
/// pending, and was pushed long enough ago.
macro_rules! manifest_goes {
    () => {
        concat!(
            "((p.filed_by_plan IS NOT NULL OR p.deleted_at IS NOT NULL)
              AND max(p.pushed_at, coalesce(p.deleted_at, p.pushed_at)) < $2
              AND NOT EXISTS (SELECT 1 FROM content_in c
                  WHERE c.repository_id = p.destination_id AND c.kind = 'manifest' AND c.name = p.digest
                    AND ", in_a_version!(), ")
              AND NOT EXISTS (SELECT 1 FROM embedded_content c
                  WHERE c.destination_id = p.destination_id AND c.kind = 'manifest' AND c.name = p.digest
                    AND ", in_a_backend_version!(), ")
              AND NOT EXISTS (SELECT 1 FROM manifest_parts o CROSS JOIN pushed_manifests h
                  WHERE o.destination_id = p.destination_id AND o.digest = p.digest AND o.kind = 'manifest'
                    AND h.id = o.pushed_id AND h.filed_by_plan IS NULL AND h.deleted_at IS NULL))"
        )
    };
}

/// Row `l` of `blob_links` goes, where its destination is not in use: no manifest there that stays has the blob, it was linked and
/// used long enough ago, and nobody is uploading what would have it.
macro_rules! link_goes {
    () => {
        concat!(
            "(max(l.since, coalesce(l.deleted_at, l.since)) < $2
              AND (SELECT k.used_at FROM blobs k WHERE k.digest = l.digest) < $2
              AND NOT EXISTS (SELECT 1 FROM manifest_parts o CROSS JOIN pushed_manifests p
                  WHERE o.destination_id = l.destination_id AND o.digest = l.digest AND o.kind <> 'manifest'
                    AND p.id = o.pushed_id AND NOT ", manifest_goes!(), ")
              AND NOT EXISTS (SELECT 1 FROM uploads u
                  WHERE u.destination_id = l.destination_id AND u.touched_at >= $4))"
        )
    };
}

/// Row `d` of `destinations` was made for a push that never came to a repository, and nothing of it is kept for anybody. Whether it
/// is in use is asked besides.
macro_rules! unused {
    () => {
        "(d.created_at < $4
          AND NOT EXISTS (SELECT 1 FROM repositories x WHERE x.id = d.id)
          AND NOT EXISTS (SELECT 1 FROM uploads x WHERE x.destination_id = d.id AND x.touched_at >= $4)
          AND NOT EXISTS (SELECT 1 FROM tombstones x WHERE x.destination_id = d.id)
          AND NOT EXISTS (SELECT 1 FROM pulp_repositories x WHERE x.destination_id = d.id)
          AND NOT EXISTS (SELECT 1 FROM pushed_manifests x WHERE x.destination_id = d.id
              AND (x.filed_by_plan IS NULL AND x.deleted_at IS NULL
                OR max(x.pushed_at, coalesce(x.deleted_at, x.pushed_at)) >= $3))
          AND NOT EXISTS (SELECT 1 FROM blob_links x JOIN blobs k ON k.digest = x.digest
              WHERE x.destination_id = d.id AND max(x.since, k.used_at) >= $3))"
    };
}

/// What was deleted with row `d` of `destinations` cannot be brought back any more: somebody has begun to collect it, or its time is
/// over and nothing publishes it. Whether it is in use is asked besides.
macro_rules! collected {
    () => {
        "(EXISTS (SELECT 1 FROM tombstones x WHERE x.destination_id = d.id AND x.collecting = 1)
          OR (d.retired_at IS NOT NULL
              AND EXISTS (SELECT 1 FROM tombstones x WHERE x.destination_id = d.id AND x.part = 'catalog')
              AND NOT EXISTS (SELECT 1 FROM tombstones x WHERE x.destination_id = d.id AND x.since > $5)
              AND NOT EXISTS (SELECT 1 FROM published x WHERE x.repository_id = d.id)
              AND NOT EXISTS (SELECT 1 FROM uploads x WHERE x.destination_id = d.id AND x.touched_at >= $4)))"
    };
}

/// The destination is in use, as a dry run has found before.
macro_rules! known_in_use {
    ($destination:literal) => {
        concat!($destination, " IN (SELECT value FROM json_each($6))")
    };
}

/// Something of the destination may go and the rest stay, in a dry run.
macro_rules! prunable {
    ($destination:literal) => {
        concat!(
            "(NOT ",
            known_in_use!($destination),
            " AND EXISTS (SELECT 1 FROM destinations x WHERE x.id = ",
            $destination,
            " AND x.retired_at IS NULL))"
        )
    };
}

/// All of this destination goes, in a dry run.
macro_rules! goes_whole {
    ($destination:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM destinations d WHERE d.id = ",
            $destination,
            " AND NOT ",
            known_in_use!("d.id"),
            " AND (",
            unused!(),
            " OR ",
            collected!(),
            "))"
        )
    };
}
