from ._pump import Pump, Task

class Throttle(Task):
    capacity: float
    def __init__(self, pump: Pump, rate: float, burst: float) -> None: ...
