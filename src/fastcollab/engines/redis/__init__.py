"""The ports over Redis or Valkey, which gateways on many machines share."""

from fastcollab.engines.redis.documents import RedisDocuments

__all__ = ["RedisDocuments"]
