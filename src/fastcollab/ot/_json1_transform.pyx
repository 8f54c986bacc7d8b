"""Transformation of json1 operations.

Two operations, *mine* and *theirs*, were made against one document; mine is rewritten to follow theirs. An
operation has two halves: first everything that leaves its place is picked up or removed, in the numbering of
the old document, and then everything is dropped, inserted and edited, in the numbering of the new one. So there
are five numberings to carry a key between: that of the old document (all picks), each operation's own middle,
where its picks are done and its drops are not, and the two new documents. In the comments, *raw* is a key in the
old document, *middle* one between picks and drops.

The work goes through the trees in this order:

1. `scan_their_picks`: what theirs picks up, and whether mine moves or removes it.
2. `scan_their_drops`: where theirs puts it, and whether mine removes that place.
3. `write_my_picks`: my picks and removes, with keys shifted by theirs. What theirs has moved is followed to where
   it was put, and written into a tree of its own (`Theirs.pick_writes`) until that place is known.
4. `write_my_drops`: my drops, inserts and edits: back to raw, through theirs, and forward again past the picks
   that are left of mine. The keys of the result are those of the document when all is done.
5. `place_held_picks`, `place_held_drops`: the trees that were held go to where theirs has put what they are about.

Conflicts. Where both cannot have what they want, the first contradiction met is kept as a `Conflict`, with the
least parts of both operations that show it; nothing is resolved here (`_json1_resolution` does). There are three
kinds: one removes what the other puts something into or edits (1), both put something in one place (2), each moves
something into what the other moves (3).
"""

cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from fastcollab.ot._json1_subtypes cimport Subtype
from fastcollab.ot._json1_tree cimport (
    NO_SLOT, Arena, Component, Node, Operation, Walk, along_path, child_of, component_at, component_of, copied,
    first_child, has_drop, has_edit, has_pick, is_empty, merge, new_node, place_in_operation, seek, set_edit,
    set_inserted, set_removed, walk, write_edit, zeroed,
)
from fastcollab.ot._json1_values cimport refusal, same_value

cdef object TRUE = True

cdef struct Mine:
    # What is known of one move of mine.
    Node *pick           # in my operation
    Node *drop
    Node *their_pick     # theirs at the place of my pick, in their picks
    Node *their_drop     # and in their drops
    Node *their_removal  # theirs that removes what I move
    Component *out       # where the result picks up; NULL: the move is not in the result
    bint shared          # theirs moves the same thing
    Py_ssize_t first_caught  # moves of theirs into what I move: list through Theirs.next_caught
    Py_ssize_t last_caught

cdef struct Theirs:
    # What is known of one move of theirs.
    Node *pick           # in their operation
    Node *drop
    Node *my_pick        # mine at the place of their pick
    Node *my_removal     # mine that removes what they move
    bint cancelled       # so that the result removes it at its new place
    bint discarded       # or need not, since that place is removed as well
    Py_ssize_t same      # my move of the same thing, or NO_SLOT
    Node *pick_writes    # what the result picks up or removes within what was moved
    Node *drop_writes    # what the result drops, inserts or edits there
    Py_ssize_t next_caught

cdef struct Out:
    # What is known of one move of the result.
    Py_ssize_t mine      # the move of mine that it comes from
    Node *drop
    Node *writes         # what is to be written within it


@cython.final
@cython.freelist(8)
cdef class Transformation:
    """One transformation, while it goes on."""

    cdef Arena *arena
    cdef bint left
    cdef Mine *mine
    cdef Theirs *theirs
    cdef Out *out
    cdef Py_ssize_t my_moves
    cdef Py_ssize_t their_moves
    cdef Py_ssize_t moves       # of the result so far
    cdef bint any_cancelled
    cdef bint any_pick_writes
    cdef bint any_drop_writes
    cdef Conflict conflict      # the first one met

    # -- conflicts ------------------------------------------------------------------------------------------

    cdef void contradict(self, Kind kind, Node *mine, Node *theirs) noexcept:
        self.conflict = Conflict(kind, mine, theirs)

    cdef Node *operation_removing(self, const Node *node) except NULL:
        cdef Node *root = new_node(self.arena, NULL, NULL, 0)
        set_removed(self.arena, along_path(self.arena, root, node), <PyObject *> TRUE)
        return root

    cdef Node *operation_placing(self, const Node *pick, const Node *drop) except NULL:
        """The move from `pick` to `drop`; or, if there is no pick, the insert at `drop`."""
        cdef Node *root = new_node(self.arena, NULL, NULL, 0)
        if pick == NULL:
            set_inserted(self.arena, along_path(self.arena, root, drop), drop.component.inserted)
        else:
            self.write_move(root, pick, drop, 0)
        return root

    cdef Node *operation_editing(self, const Node *node) except NULL:
        cdef Node *root = new_node(self.arena, NULL, NULL, 0)
        set_edit(self.arena, along_path(self.arena, root, node), node.component.subtype, node.component.edit)
        return root

    cdef int write_move(self, Node *root, const Node *pick, const Node *drop, Py_ssize_t slot) except -1:
        component_of(self.arena, along_path(self.arena, root, pick)).pick = slot
        component_of(self.arena, along_path(self.arena, root, drop)).drop = slot
        return 0

    # -- 1: their picks -------------------------------------------------------------------------------------

    cdef int scan_their_picks(self, Node *their_pick, Node *my_pick, Node *my_removal) except -1:
        cdef Component *mine = component_at(my_pick)
        cdef Component *component = their_pick.component
        cdef Theirs *move
        cdef Walk my_walk
        cdef Node *child
        if mine != NULL:
            if mine.removed != NULL:
                my_removal = my_pick
            elif mine.pick != NO_SLOT:
                my_removal = NULL
                self.mine[mine.pick].their_pick = their_pick
        if component != NULL and component.pick != NO_SLOT:
            move = &self.theirs[component.pick]
            move.pick = their_pick
            move.my_pick = my_pick
            if my_removal != NULL:
                move.cancelled = self.any_cancelled = True
                move.my_removal = my_removal
            if mine != NULL and mine.pick != NO_SLOT:
                move.same = mine.pick
                self.mine[mine.pick].shared = True
        my_walk = walk(my_pick, False, False, False)
        child = their_pick.first
        while child != NULL:
            self.scan_their_picks(child, seek(&my_walk, child.name, child.index), my_removal)
            child = child.next
        return 0

    # -- 2: their drops -------------------------------------------------------------------------------------

    cdef void catch(self, Py_ssize_t my_slot, Py_ssize_t their_slot) noexcept:
        """Takes note that their move goes into what my move picks up."""
        cdef Mine *move = &self.mine[my_slot]
        if move.first_caught == NO_SLOT:
            move.first_caught = their_slot
        else:
            self.theirs[move.last_caught].next_caught = their_slot
        move.last_caught = their_slot

    cdef bint theirs_stands(self, Py_ssize_t their_slot) noexcept:
        """Whether their move is not undone by mine: of two moves of one thing, that on the left counts."""
        return not self.left or self.theirs[their_slot].same == NO_SLOT

    cdef int scan_their_drops(
        self, Node *my_pick, Node *their_pick, Node *their_drop, Py_ssize_t my_slot, Node *my_removal
    ) except -1:
        cdef Component *component = their_drop.component
        cdef Component *mine
        cdef Theirs *move
        cdef Walk their_walk
        cdef Walk my_walk
        cdef Node *child
        cdef Node *child_pick
        cdef int64_t middle
        cdef int64_t dropped = 0
        if component != NULL:
            if component.drop != NO_SLOT:
                move = &self.theirs[component.drop]
                move.drop = their_drop
                if my_slot != NO_SLOT:
                    self.catch(my_slot, component.drop)
                my_pick = move.my_pick
                their_pick = move.pick
                if move.cancelled:
                    if my_removal != NULL:
                        move.discarded = True
                    my_removal = move.my_removal
                elif my_removal != NULL and self.theirs_stands(component.drop):
                    if self.conflict.kind == NONE:
                        self.contradict(REMOVED, self.operation_removing(my_removal),
                                        self.operation_placing(move.pick, their_drop))
            elif component.inserted != NULL:
                my_pick = their_pick = NULL
                if my_removal != NULL and self.conflict.kind == NONE:
                    self.contradict(REMOVED, self.operation_removing(my_removal),
                                    self.operation_placing(NULL, their_drop))
        mine = component_at(my_pick)
        if mine != NULL:
            if mine.removed != NULL:
                my_removal = my_pick
            elif mine.pick != NO_SLOT:
                my_slot = mine.pick
                my_removal = NULL
        if has_edit(component) and my_removal != NULL and self.conflict.kind == NONE:
            self.contradict(REMOVED, self.operation_removing(my_removal), self.operation_editing(their_drop))
        their_walk = walk(their_pick, True, False, True)
        my_walk = walk(my_pick, False, False, False)
        child = their_drop.first
        while child != NULL:
            middle = child.index - dropped
            child_pick = seek(&their_walk, child.name, middle)
            self.scan_their_drops(
                seek(&my_walk, child.name, middle + their_walk.passed), child_pick, child, my_slot, my_removal
            )
            dropped += has_drop(child.component)
            child = child.next
        return 0

    # -- 3: my picks ----------------------------------------------------------------------------------------

    cdef int write_my_picks(
        self, Node *my_pick, Node *their_pick, Node *their_drop, Node *writes, Node *their_removal
    ) except -1:
        cdef Component *theirs = component_at(their_pick)
        cdef Component *mine = my_pick.component
        cdef Theirs *their_move
        cdef Mine *move
        cdef Walk pick_walk
        cdef Walk drop_walk
        cdef Node *child
        cdef Node *child_pick
        cdef Node *child_drop
        cdef int64_t middle
        cdef bint moved = False
        if has_pick(theirs):
            if theirs.pick != NO_SLOT:
                their_move = &self.theirs[theirs.pick]
                their_drop = their_move.drop
                writes = their_move.pick_writes = new_node(self.arena, NULL, NULL, 0)
                self.any_pick_writes = True
                moved = True
                their_removal = NULL
            else:
                their_drop = NULL
                their_removal = their_pick
        elif has_drop(component_at(their_drop)):
            their_drop = NULL
        if mine != NULL:
            if mine.pick != NO_SLOT:
                move = &self.mine[mine.pick]
                if their_removal != NULL:
                    move.their_removal = their_removal
                if their_removal != NULL or (moved and not self.left):
                    move.out = NULL
                else:
                    move.out = component_of(self.arena, writes)
                move.pick = my_pick
                move.their_drop = their_drop
            elif mine.removed != NULL:
                if their_removal == NULL:
                    set_removed(self.arena, writes, <PyObject *> TRUE)
                # A remove that the result does not have at this place does not shift my drops there.
                mine.marked = their_removal != NULL or moved
        pick_walk = walk(their_pick, False, False, True)
        drop_walk = walk(their_drop, True, True, False)
        child = my_pick.first
        while child != NULL:
            child_pick = seek(&pick_walk, child.name, child.index)
            middle = child.index - pick_walk.passed
            if child.name == NULL and has_pick(component_at(child_pick)):
                child_drop = NULL
            else:
                child_drop = seek(&drop_walk, child.name, middle)
            self.write_my_picks(
                child, child_pick, child_drop,
                child_of(self.arena, writes, child.name, middle + drop_walk.passed if child.name == NULL else 0),
                their_removal,
            )
            child = child.next
        return 0

    # -- 4: my drops ----------------------------------------------------------------------------------------

    cdef int write_my_drops(
        self, Node *my_pick, Node *my_drop, Node *their_pick, Node *their_drop, Node *writes, Node *their_removal
    ) except -1:
        """Returns whether the result puts something here."""
        cdef Component *mine = my_drop.component
        cdef Component *theirs
        cdef Theirs *move
        cdef bint dropped_here = False
        if has_drop(mine):
            dropped_here = self.write_my_drop(&my_pick, my_drop, &their_pick, &their_drop, writes, &their_removal)
        elif has_pick(component_at(my_pick)):
            my_pick = their_pick = their_drop = NULL
        theirs = component_at(their_pick)
        if has_pick(theirs):
            if (theirs.removed != NULL and (component_at(my_pick) == NULL or my_pick.component.removed == NULL)) or (
                theirs.pick != NO_SLOT and self.theirs[theirs.pick].cancelled
            ):
                # Removed by theirs alone, or moved by theirs and removed by mine. What both remove, mine may
                # still put something into: it goes where the thing was.
                their_drop = NULL
                their_removal = their_pick
            elif theirs.pick != NO_SLOT:
                move = &self.theirs[theirs.pick]
                their_drop = move.drop
                if self.theirs_stands(theirs.pick):
                    if move.drop_writes == NULL:
                        move.drop_writes = new_node(self.arena, NULL, NULL, 0)
                        self.any_drop_writes = True
                    writes = move.drop_writes
                    their_removal = NULL
        elif not has_drop(mine) and has_drop(component_at(their_drop)):
            their_drop = NULL
        if has_edit(mine):
            self.write_my_edit(my_drop, their_drop, writes, their_removal)
        if my_drop.first != NULL:
            self.write_children(my_pick, my_drop, their_pick, their_drop, writes, their_removal)
        return dropped_here

    cdef int write_my_drop(
        self, Node **my_pick, Node *my_drop, Node **their_pick, Node **their_drop, Node *writes, Node **their_removal
    ) except -1:
        """Writes what I put here, unless theirs has put the same here, and goes on to where it came from.

        Returns whether it is written.
        """
        cdef Component *mine = my_drop.component
        cdef Component *theirs = component_at(their_drop[0])
        cdef Mine *move = NULL
        cdef Node *came_from = NULL
        cdef bint identical = False
        cdef bint dropped_here = False
        if mine.drop != NO_SLOT:
            move = &self.mine[mine.drop]
            move.drop = my_drop
            came_from = move.pick
        if move != NULL and move.out == NULL:
            # Removed at its source, or moved by theirs, which then counts.
            if move.their_removal != NULL:
                their_removal[0] = move.their_removal
        else:
            if theirs != NULL and theirs.inserted != NULL:
                identical = move == NULL and same_value(<object> theirs.inserted, <object> mine.inserted)
                if not identical:
                    self.collide(came_from, my_drop, NULL, their_drop[0])
            elif theirs != NULL and theirs.drop != NO_SLOT and not self.theirs[theirs.drop].cancelled:
                identical = move != NULL and self.theirs[theirs.drop].same == mine.drop
                if not identical and self.theirs_stands(theirs.drop):
                    self.collide(came_from, my_drop, self.theirs[theirs.drop].pick, their_drop[0])
            if identical:
                pass
            elif their_removal[0] != NULL:
                if self.conflict.kind == NONE:
                    self.contradict(REMOVED, self.operation_placing(came_from, my_drop),
                                    self.operation_removing(their_removal[0]))
            else:
                if move != NULL:
                    self.out[self.moves].mine = mine.drop
                    move.out.pick = self.moves
                    component_of(self.arena, writes).drop = self.moves
                    self.moves += 1
                else:
                    set_inserted(self.arena, writes, mine.inserted)
                dropped_here = True
        if move != NULL:
            my_pick[0] = move.pick
            their_pick[0] = move.their_pick
            their_drop[0] = move.their_drop
        else:
            my_pick[0] = their_pick[0] = NULL
            if not identical:
                their_drop[0] = NULL
        return dropped_here

    cdef int collide(self, Node *my_pick, Node *my_drop, Node *their_pick, Node *their_drop) except -1:
        if self.conflict.kind == NONE:
            self.contradict(COLLISION, self.operation_placing(my_pick, my_drop),
                            self.operation_placing(their_pick, their_drop))
        return 0

    cdef int write_my_edit(self, Node *my_drop, Node *their_drop, Node *writes, Node *their_removal) except -1:
        cdef Component *mine = my_drop.component
        cdef Component *theirs = component_at(their_drop)
        cdef Subtype subtype
        if their_removal != NULL:
            if self.conflict.kind == NONE:
                self.contradict(REMOVED, self.operation_editing(my_drop), self.operation_removing(their_removal))
            return 0
        subtype = <Subtype> <object> mine.subtype
        if has_edit(theirs):
            if theirs.subtype != mine.subtype:
                raise refusal("the two operations edit one value as different types", "operation",
                              place_in_operation(my_drop, None))
            return write_edit(
                self.arena, writes, subtype,
                subtype.transform(<object> mine.edit, <object> theirs.edit, "left" if self.left else "right"),
            )
        if not subtype.is_empty(<object> mine.edit):
            set_edit(self.arena, writes, mine.subtype, mine.edit)
        return 0

    cdef int write_children(
        self, Node *my_pick, Node *my_drop, Node *their_pick, Node *their_drop, Node *writes, Node *their_removal
    ) except -1:
        cdef Node *child = my_drop.first
        cdef Node *next_pick = first_child(my_pick)
        cdef Node *next_drop = first_child(their_drop)
        cdef Walk their_walk = walk(their_pick, False, False, True)
        cdef Walk named_picks
        cdef Walk named_drops
        cdef Node *child_pick
        cdef Node *child_their_pick
        cdef Node *child_drop
        cdef int64_t my_picks = 0      # of mine before the child, in raw
        cdef int64_t my_drops = 0      # in the child's own numbering
        cdef int64_t their_drops = 0
        cdef int64_t shift = 0         # by which the picks and drops of the result shift it
        cdef int64_t middle
        cdef int64_t raw
        cdef int64_t their_middle
        cdef int64_t position
        cdef bint drops
        cdef bint child_drops
        cdef Component *component
        while child != NULL and child.name == NULL:
            child_drops = has_drop(child.component)
            middle = child.index - my_drops
            # My picks before the child. Of a pick and a drop in one place, the left one's drop goes first.
            while next_pick != NULL and next_pick.name == NULL:
                component = next_pick.component
                drops = has_pick(component)
                position = next_pick.index - my_picks
                if position > middle or (position == middle and (not drops or (self.left and child_drops))):
                    break
                if drops:
                    my_picks += 1
                    shift -= self.stays_in_result(component)
                next_pick = next_pick.next
            child_pick = NULL
            if next_pick != NULL and next_pick.name == NULL and next_pick.index - my_picks == middle:
                child_pick = next_pick
            raw = middle + my_picks
            child_their_pick = seek(&their_walk, NULL, raw)
            their_middle = raw - their_walk.passed
            # Their drops before the child.
            child_drop = NULL
            while next_drop != NULL and next_drop.name == NULL:
                component = next_drop.component
                position = next_drop.index - their_drops
                if position > their_middle:
                    break
                drops = has_drop(component)
                if position == their_middle:
                    if not drops or (self.left and child_drops):
                        child_drop = next_drop
                        break
                    if self.left and has_pick(component_at(child_their_pick)):
                        break
                if drops:
                    their_drops += 1
                    if component.inserted == NULL and (
                        self.theirs[component.drop].cancelled or not self.theirs_stands(component.drop)
                    ):
                        shift -= 1  # the result takes it away again
                next_drop = next_drop.next
            position = their_middle + their_drops + shift
            if position < 0:
                raise refusal("the two operations do not fit one document", "operation",
                              place_in_operation(child, None))
            if child_drops:
                # Theirs does not know of what I put here.
                child_pick = child_their_pick = child_drop = NULL
                my_drops += 1
            shift += self.write_my_drops(
                child_pick, child, child_their_pick, child_drop,
                child_of(self.arena, writes, NULL, position), their_removal,
            )
            child = child.next
        if child == NULL:
            return 0
        named_picks = Walk(next_pick, 0, False, False, False)
        named_drops = Walk(next_drop, 0, False, False, False)
        while child != NULL:
            child_pick = seek(&named_picks, child.name, 0)
            child_their_pick = seek(&their_walk, child.name, 0)
            child_drop = seek(&named_drops, child.name, 0)
            self.write_my_drops(
                child_pick, child, child_their_pick, child_drop,
                child_of(self.arena, writes, child.name, 0), their_removal,
            )
            child = child.next
        return 0

    cdef bint stays_in_result(self, const Component *component) noexcept:
        """Whether the result picks up or removes here as this component of mine does."""
        if component.pick == NO_SLOT:
            return not component.marked
        return self.mine[component.pick].out != NULL and not (self.left and self.mine[component.pick].shared)

    # -- 5: what was held -----------------------------------------------------------------------------------

    cdef int place_held_picks(self, const Node *their_drop, Node *writes) except -1:
        cdef const Node *child = their_drop.first
        cdef Theirs *move
        if their_drop.component != NULL and their_drop.component.drop != NO_SLOT:
            move = &self.theirs[their_drop.component.drop]
            if move.cancelled and not move.discarded:
                set_removed(self.arena, writes, <PyObject *> TRUE)
            if move.pick_writes != NULL:
                merge(self.arena, writes, move.pick_writes)
        while child != NULL:
            self.place_held_picks(child, child_of(self.arena, writes, child.name, child.index))
            child = child.next
        return 0

    cdef int find_drops(self, Node *node) except -1:
        """Takes note of where the result drops what."""
        cdef Node *child = node.first
        if node.component != NULL and node.component.drop != NO_SLOT:
            self.out[node.component.drop].drop = node
        while child != NULL:
            self.find_drops(child)
            child = child.next
        return 0

    cdef int place_held_drops(self, Node *their_root, Node *root) except -1:
        cdef Node *snapshot = copied(self.arena, root, NULL)
        cdef Py_ssize_t slot
        self.find_drops(snapshot)
        for slot in range(self.their_moves):
            if self.theirs[slot].drop_writes != NULL:
                self.find_drops(self.theirs[slot].drop_writes)
        self.follow_their_drops(their_root, snapshot, snapshot, root)
        self.place_out_writes(copied(self.arena, root, NULL), root)
        return self.detect_black_holes()

    cdef int follow_their_drops(self, const Node *their_drop, Node *out_pick, Node *out_drop, Node *writes) except -1:
        """Merges what was held at their drops into the result, with keys shifted by the result so far."""
        cdef const Node *child = their_drop.first
        cdef Component *component = component_at(out_pick)
        cdef Node *held
        cdef Node *child_pick
        cdef Walk pick_walk
        cdef Walk drop_walk
        cdef int64_t middle
        if has_pick(component):
            if component.pick != NO_SLOT:
                out_drop = self.out[component.pick].drop
                writes = self.out[component.pick].writes = new_node(self.arena, NULL, NULL, 0)
            else:
                out_drop = NULL
        elif has_drop(component_at(out_drop)):
            out_drop = NULL
        if their_drop.component != NULL and their_drop.component.drop != NO_SLOT:
            held = self.theirs[their_drop.component.drop].drop_writes
            if held != NULL:
                merge(self.arena, writes, held)
                out_drop = held
        pick_walk = walk(out_pick, False, False, True)
        drop_walk = walk(out_drop, True, True, False)
        while child != NULL:
            child_pick = seek(&pick_walk, child.name, child.index)
            middle = child.index - pick_walk.passed
            held = seek(&drop_walk, child.name, middle)
            self.follow_their_drops(
                child, child_pick, held,
                child_of(self.arena, writes, child.name, middle + drop_walk.passed if child.name == NULL else 0),
            )
            child = child.next
        return 0

    cdef int place_out_writes(self, const Node *node, Node *writes) except -1:
        """Merges what is to be written within moves of the result into where these are dropped."""
        cdef const Node *child = node.first
        cdef Out *move
        if node.component != NULL and node.component.drop != NO_SLOT:
            move = &self.out[node.component.drop]
            if move.writes != NULL:
                merge(self.arena, writes, move.writes)
                move.writes = NULL
        while child != NULL:
            self.place_out_writes(child, child_of(self.arena, writes, child.name, child.index))
            child = child.next
        return 0

    cdef int detect_black_holes(self) except -1:
        """What is still held has no place left: each operation moves something into what the other moves."""
        cdef Node *mine = new_node(self.arena, NULL, NULL, 0)
        cdef Node *theirs = new_node(self.arena, NULL, NULL, 0)
        cdef Py_ssize_t my_count = 0
        cdef Py_ssize_t their_count = 0
        cdef Py_ssize_t slot
        cdef bint any_left = False
        for slot in range(self.moves):
            if self.out[slot].writes != NULL and not is_empty(self.out[slot].writes):
                any_left = True
                self.describe_black_hole(self.out[slot].writes, mine, &my_count, theirs, &their_count)
        if any_left:
            self.contradict(BLACK_HOLE, mine, theirs)
        return 0

    cdef int describe_black_hole(
        self, const Node *node, Node *mine, Py_ssize_t *my_count, Node *theirs, Py_ssize_t *their_count
    ) except -1:
        cdef const Node *child = node.first
        cdef Mine *move
        cdef Theirs *their_move
        cdef Py_ssize_t slot
        if node.component != NULL and node.component.drop != NO_SLOT:
            move = &self.mine[self.out[node.component.drop].mine]
            self.write_move(mine, move.pick, move.drop, my_count[0])
            my_count[0] += 1
            slot = move.first_caught
            while slot != NO_SLOT:
                their_move = &self.theirs[slot]
                if not their_move.cancelled and self.theirs_stands(slot):
                    self.write_move(theirs, their_move.pick, their_move.drop, their_count[0])
                    their_count[0] += 1
                slot = their_move.next_caught
        while child != NULL:
            self.describe_black_hole(child, mine, my_count, theirs, their_count)
            child = child.next
        return 0

    # -- all of it ------------------------------------------------------------------------------------------

    cdef int run(self, Node *mine, Node *theirs, Node *root) except -1:
        """Writes the result at `root`, unless there is a conflict."""
        self.make_slots()
        self.scan_their_picks(theirs, mine, NULL)
        self.scan_their_drops(mine, theirs, theirs, NO_SLOT, NULL)
        if self.conflict.kind != NONE:
            return 0
        self.write_my_picks(mine, theirs, theirs, root, NULL)
        self.write_my_drops(mine, mine, theirs, theirs, root, NULL)
        if self.conflict.kind != NONE:
            return 0
        if self.any_cancelled or self.any_pick_writes:
            self.place_held_picks(theirs, root)
        if self.any_cancelled or self.any_drop_writes:
            self.place_held_drops(theirs, root)
        return 0

    cdef int make_slots(self) except -1:
        cdef Py_ssize_t slot
        if self.my_moves:
            self.mine = <Mine *> zeroed(self.arena, self.my_moves * sizeof(Mine))
            self.out = <Out *> zeroed(self.arena, self.my_moves * sizeof(Out))
            for slot in range(self.my_moves):
                self.mine[slot].first_caught = self.mine[slot].last_caught = NO_SLOT
        if self.their_moves:
            self.theirs = <Theirs *> zeroed(self.arena, self.their_moves * sizeof(Theirs))
            for slot in range(self.their_moves):
                self.theirs[slot].same = self.theirs[slot].next_caught = NO_SLOT
        return 0


cdef bint transform(
    Arena *arena, const Operation *mine, const Operation *theirs, bint left, Operation *result, Conflict *conflict
) except -1:
    """Makes `result` of mine, rewritten to follow theirs; or, if they contradict each other, sets `conflict`.

    Returns whether there is a result.
    """
    cdef Transformation transformation = Transformation.__new__(Transformation)
    transformation.arena = arena
    transformation.left = left
    transformation.my_moves = mine.moves
    transformation.their_moves = theirs.moves
    result.root = new_node(arena, NULL, NULL, 0)
    transformation.run(mine.root, theirs.root, result.root)
    result.moves = transformation.moves
    conflict[0] = transformation.conflict
    return conflict.kind == NONE
