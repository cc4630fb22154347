"""Building blocks on trio that know nothing of turns.

- `batch_channel`: bounded channels of batches between actors
- `wait_queue`: a lean `ParkingLot`
- `event_bus`: calls the subscribers of an event's type
- `offload`, `json_pieces`: run large work in threads; cut large JSON into pieces

Imports nothing of the project. Anything that knows a turn, call or event belongs elsewhere.
"""
