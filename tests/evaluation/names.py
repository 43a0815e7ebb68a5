"""The policies that the tests compare."""

V2 = "expert:workshop-v2"
BASE_STOCK = "expert:workshop-base-stock"
OVER_PRODUCER = "expert:workshop-over-producer"
WAIT = "constant:200"
