"""Records that a turn leaves in the store, re-exported so that `actors` names the store once."""

from store.records.turn_records import AttemptRecord as AttemptRecord
from store.records.turn_records import Authority as Authority
from store.records.turn_records import ConversationBusy as ConversationBusy
from store.records.turn_records import Finalised as Finalised
from store.records.turn_records import FinalRecord as FinalRecord
from store.records.turn_records import NewTurn as NewTurn
from store.records.turn_records import Principal as Principal
from store.records.turn_records import Segment as Segment
from store.records.turn_records import SpoolFailed as SpoolFailed
from store.records.turn_records import StepRecord as StepRecord
from store.records.turn_records import Stored as Stored
from store.records.turn_records import StoreUnavailable as StoreUnavailable
from store.records.turn_records import TurnView as TurnView
from store.records.turn_records import UsageRecord as UsageRecord
