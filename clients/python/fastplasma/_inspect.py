"""What a store says about itself."""

from __future__ import annotations

import enum
import uuid
from dataclasses import dataclass
from typing import Any, List

from . import _native
from ._ids import ObjectId
from ._options import Access, Retention


class ObjectState(enum.IntEnum):
    """Where an object stands in its life."""

    CREATING = 3
    SEALED = 4
    CONDEMNED = 5
    """Deleted, but still read."""
    UNLOADING = 6
    """On disk, and about to leave memory unless somebody reads it."""
    SPILLED = 7
    """On disk; a get with a timeout brings it back."""
    RESTORING = 8
    """On its way back from disk."""
    EMPTYING = 9
    """On disk; its memory is being freed."""


@dataclass(frozen=True)
class ObjectInfo:
    """One object, as it was when it was looked at."""

    id: ObjectId
    state: int
    """An ``ObjectState``."""
    payload_size: int
    metadata_size: int
    block_size: int
    """Memory that it takes."""
    created_at_ns: int
    sealed_at_ns: int
    """0: not sealed."""
    incarnation: int
    retention: Retention
    creator_process_id: int
    pin_count: int
    """By all processes."""
    holder_count: int
    """Attachments that pin it; ``Store.holders`` says which."""
    name: str
    content_type: str
    expires_at_ns: int
    """Since 1970, UTC; 0: never."""


@dataclass(frozen=True)
class PinHolder:
    """One attachment that pins an object."""

    id: ObjectId
    process_id: int
    incarnation: int
    """Which creation of the id, as in ``ObjectInfo``."""
    since_ns: int
    """When the oldest of the pins began, since 1970, UTC; to 0.1 s."""
    pin_count: int
    other_pid_namespace: bool
    """``process_id`` means nothing here."""
    process_name: str


@dataclass(frozen=True)
class StoreDetails:
    """What an attachment is."""

    name: str
    """Empty of a store without one."""
    uuid: uuid.UUID
    """Of this store: another one after destroying and creating."""
    capacity_bytes: int
    object_count_max: int
    access: Access


@dataclass(frozen=True)
class ParticipantInfo:
    """One attachment of a process to the store."""

    uid: int
    index: int
    process_id: int
    access: Access
    attached_at_ns: int
    pin_count: int
    creating_count: int
    alive: bool
    token_kept: bool
    """Its process has ended, but a forked child keeps its lock."""
    other_pid_namespace: bool
    """``process_id`` means nothing here."""
    process_name: str


@dataclass(frozen=True)
class OperationCounts:
    """What was done so far. ``*_copied_bytes`` are copies that the store made; what Python writes into a created object is in ``Store.copies``."""

    gets: int
    get_misses: int
    get_bytes: int
    get_copied_bytes: int
    puts: int
    put_bytes: int
    put_copied_bytes: int
    creates: int
    create_bytes: int
    create_copied_bytes: int
    aborts: int
    deletes: int
    evictions: int
    evicted_bytes: int
    recoveries: int


@dataclass(frozen=True)
class StoreStats:
    """The store's numbers; sizes in bytes."""

    uuid: uuid.UUID
    capacity_bytes: int
    backed_bytes: int
    """Payload memory that has pages."""
    meta_bytes: int
    used_bytes: int
    """In blocks."""
    object_bytes: int
    """Payload and metadata in them."""
    slab_free_bytes: int
    largest_free_run_bytes: int
    condemned_bytes: int
    evictable_bytes: int
    creating_bytes: int
    huge_page_bytes: int
    sealed_count: int
    creating_count: int
    condemned_count: int
    object_count_max: int
    participant_count: int
    huge_pages: int
    process: OperationCounts
    """Of this attachment."""
    store: OperationCounts
    """Of all processes since the store was created."""
    populate_target_bytes: int
    """What is being populated ahead; 0: nothing."""
    populated_bytes: int
    meta_bytes_per_object: float
    """Of the store's own memory, per possible object."""
    pinned_bytes: int
    """Memory that somebody reads."""
    keep_bytes: int
    """Memory that may not be dropped."""
    waiting_count: int
    """Creates that wait for memory now; up to 64 are seen."""
    waiting_bytes: int
    waiting_since_ns: int
    """Since when the first of them waits; 0: none."""
    evict_ahead_bytes: int
    """Free memory that eviction in the background keeps; 0: none."""
    default_time_to_live_ms: int
    """0: no end."""
    process_expirations: int
    """Objects whose time to live was over: of this attachment."""
    store_expirations: int
    """The same of all processes."""
    spilled_count: int
    """Sealed objects that are on disk only."""
    spilled_bytes: int
    clean_bytes: int
    """Memory of objects that are on disk too."""


@dataclass(frozen=True)
class VerifyReport:
    """What a walk over everything found."""

    objects: int
    checksums_verified: int
    payload_bytes: int
    problems: List[str]
    notes: List[str]


def object_info(native: Any) -> ObjectInfo:
    """From fp_object_info."""
    values = {name: getattr(native, name) for name in ObjectInfo.__dataclass_fields__}
    values.update(id=ObjectId(bytes(native.id)), retention=Retention(native.retention), name=_native.text_of(native.name), content_type=_native.text_of(native.content_type))
    return ObjectInfo(**values)


def pin_holder(native: Any) -> PinHolder:
    """From fp_pin_holder."""
    values = {name: getattr(native, name) for name in PinHolder.__dataclass_fields__}
    values.update(id=ObjectId(bytes(native.id)), other_pid_namespace=bool(native.other_pid_namespace), process_name=_native.text_of(native.process_name))
    return PinHolder(**values)


def store_details(native: Any) -> StoreDetails:
    """From fp_store_details."""
    return StoreDetails(_native.text_of(native.name), uuid.UUID(bytes=bytes(native.uuid)), native.capacity_bytes, native.object_count_max, Access(native.access))


def participant_info(native: Any) -> ParticipantInfo:
    """From fp_participant_info."""
    values = {name: getattr(native, name) for name in ParticipantInfo.__dataclass_fields__}
    values.update(access=Access(native.access), process_name=_native.text_of(native.process_name))
    for name in ("alive", "token_kept", "other_pid_namespace"):
        values[name] = bool(values[name])
    return ParticipantInfo(**values)


def store_stats(native: _native.FpStoreStats) -> StoreStats:
    """From fp_store_stats."""
    values = {name: getattr(native, name) for name in StoreStats.__dataclass_fields__}
    values.update(uuid=uuid.UUID(bytes=bytes(native.uuid)), process=_counts(native.process), store=_counts(native.store))
    return StoreStats(**values)


def _counts(native: Any) -> OperationCounts:
    return OperationCounts(**{name: getattr(native, name) for name in OperationCounts.__dataclass_fields__})
