package com.shop.shipping

import scala.concurrent.{Await, Future}
import scala.concurrent.duration._
import scala.concurrent.ExecutionContext.Implicits.global

case class Parcel(id: Int, weight: Option[Double])

object Shipping {
  def label(parcel: Parcel): String = parcel.weight match {
    case Some(weight) if weight > 0 => s"${parcel.id}: $weight kg"
  }

  def main(args: Array[String]): Unit = {
    val labels = Future(List(Parcel(1, Some(2.5)), Parcel(2, None)).map(label))
    try println(Await.result(labels, 5.seconds))
    catch { case e: MatchError => throw new IllegalStateException("parcel 2 has no label", e) }
  }
}
